"""Publishing: an event becomes a row of the outbox. Needs no Kafka client."""
