"""The rows that are read and not marked, by position. It bounds how many there are and how much memory they take."""

from collections.abc import Iterable, Sequence

from relay.forwarder.reader import READ_ROWS, Row
from relay.models import SHARDS

WINDOW_ROWS = 10_000
WINDOW_BYTES = 32 * 1024 * 1024


class Window:
    """A row is let in when it is read, and out when it is marked or is to be read again."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self._bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether as many rows as one read brings may come in."""
        return len(self.rows) + READ_ROWS <= WINDOW_ROWS and self._bytes < WINDOW_BYTES

    @property
    def shards(self) -> set[int]:
        """The shards of the rows."""
        return {row.key_hash % SHARDS for row in self.rows.values()}

    def let_in(self, rows: Sequence[Row]) -> None:
        """Keep these rows, too."""
        for row in rows:
            self.rows[row.position] = row
            self._bytes += len(row.body)

    def let_out(self, rows: Iterable[Row]) -> None:
        """Keep these rows no longer."""
        for row in rows:
            del self.rows[row.position]
            self._bytes -= len(row.body)

    def clear(self) -> None:
        """Keep nothing."""
        self.rows.clear()
        self._bytes = 0
