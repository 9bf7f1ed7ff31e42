"""Work queues in the database, which Celery tasks process."""
