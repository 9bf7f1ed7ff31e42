"""The writes of the consumer: from a batch of events to the tables, in a few statements for each batch."""
