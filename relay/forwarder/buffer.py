"""The buffer of rows that are read and not yet marked. It limits their number and their bytes."""

from collections.abc import Iterable, Sequence

from relay.forwarder.reader import READ_ROWS, Row
from relay.models import SHARDS

BUFFER_ROWS = 10_000
BUFFER_BYTES = 32 * 1024 * 1024


class Buffer:
    """Rows by position. A row is added when it is read, and removed when it is marked or must be read again."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self._bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether there is room for the READ_ROWS of one read."""
        return len(self.rows) + READ_ROWS <= BUFFER_ROWS and self._bytes < BUFFER_BYTES

    @property
    def shards(self) -> set[int]:
        """The shards of the buffered rows."""
        return {row.key_hash % SHARDS for row in self.rows.values()}

    def add(self, rows: Sequence[Row]) -> None:
        """Add `rows`."""
        for row in rows:
            self.rows[row.position] = row
            self._bytes += len(row.body)

    def remove(self, rows: Iterable[Row]) -> None:
        """Remove `rows`, which must be in the buffer."""
        for row in rows:
            del self.rows[row.position]
            self._bytes -= len(row.body)

    def clear(self) -> None:
        """Remove all rows."""
        self.rows.clear()
        self._bytes = 0
