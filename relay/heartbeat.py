"""A process is well when it has lately completed a round of its work, not when it is merely alive."""

import os
import socket
import time

from django.db import connection

STALE_AFTER_SECONDS = 15.0


def beat(name: str) -> None:
    """Record that this process, one of those called `name`, has completed a round just now (database clock)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_heartbeat (process, name, started_at, at)"
            " values (%s, %s, clock_timestamp(), clock_timestamp())"
            " on conflict (process) do update set at = excluded.at",
            [f"{name}@{socket.gethostname()}:{os.getpid()}", name],
        )


def read_ages() -> dict[str, float]:
    """Return by name the age of the last completed round, in seconds, of whichever process was the last."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select name, extract(epoch from clock_timestamp() - max(at))::float8 from relay_heartbeat group by name"
        )
        return dict(cursor.fetchall())


class Pulse:
    """Beats at most once a second, so that a fast loop does not write a row per round."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._last = 0.0

    def beat(self) -> None:
        """Beat, unless less than a second has passed since the last time."""
        if time.monotonic() - self._last >= 1.0:
            beat(self.name)
            self._last = time.monotonic()
