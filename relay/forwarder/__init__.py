"""Outbox -> Kafka: the code of a `manage.py run_relay` process."""
