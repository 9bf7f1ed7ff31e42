"""The lock that keeps pruning and rebuilds apart: a rebuild needs the events that pruning would drop."""

from relay.database import connection

# An arbitrary number that no other advisory lock of the database uses.
_NUMBER = 7_262_179_001


def fence_off_pruning() -> None:
    """Take the lock until the end of this transaction, after any pruning or rebuild of another transaction."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_NUMBER])
