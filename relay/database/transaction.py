"""Transactions in the relay's database, with the names of django.db.transaction."""

from django.db import transaction
from django.db.transaction import Atomic

from relay.conf import configuration


def atomic() -> Atomic:
    """Return a context manager that opens a transaction, or a savepoint inside an open one."""
    return transaction.atomic(using=configuration().database)


def set_rollback(rollback: bool) -> None:
    """Mark whether the innermost open block ends with a rollback."""
    transaction.set_rollback(rollback, using=configuration().database)
