"""Whether a process has lately completed a round of its work: `python shop/embedded/heart.py NAME`, for containers.

Imports no Django: it is run every few seconds beside each process.
"""

import os
import sys

import psycopg

_STALE_AFTER_SECONDS = 15


def read_age(name: str) -> float | None:
    """Return the age of the heartbeat `name` in seconds; nothing when there is none."""
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3) as connection:
        row = connection.execute(
            "select extract(epoch from clock_timestamp() - max(at))::float8 from relay_heartbeat where name = %s",
            [name],
        ).fetchone()
    return row[0] if row else None


if __name__ == "__main__":
    age = read_age(sys.argv[1])
    sys.exit(age is None or age > _STALE_AFTER_SECONDS)
