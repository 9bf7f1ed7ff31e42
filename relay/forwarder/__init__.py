"""Outbox -> Kafka: the process that `manage.py run_relay` runs."""
