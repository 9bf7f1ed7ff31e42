"""The writes of the consumer: from a batch of events to the tables, in a few statements for each batch.

The large statements are prepared, because batches are small most of the time, and planning takes longer than writing.
"""
