"""Work queues of Celery tasks whose rows are in the database."""
