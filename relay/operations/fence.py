"""Pruning and rebuilding exclude each other: a rebuild needs the events that pruning is about to drop."""

from relay.database import connection

# Any number will do, as long as nobody else takes it.
_NUMBER = 7_262_179_001


def fence_off_pruning() -> None:
    """Wait until no other transaction prunes or rebuilds, and keep it so until the end of this one."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_NUMBER])
