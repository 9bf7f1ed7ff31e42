"""Whether a process has lately completed a round of its work: `python shop/embedded/heart.py NAME`, for containers.

It asks about this host's process, so that a sibling elsewhere can't answer in its place, or with --anywhere about any.
Imports no Django: it is run every few seconds beside each process.
"""

import os
import socket
import sys

import psycopg

_STALE_AFTER_SECONDS = 15


def read_age(name: str, host: str = "") -> float | None:
    """Return the age in seconds of the freshest heartbeat `name`, of those on `host`; nothing when there is none."""
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3, application_name="shop heart") as connection:
        row = connection.execute(
            "select extract(epoch from clock_timestamp() - max(at))::float8 from relay_heartbeat"
            " where starts_with(process, %s)",
            [f"{name}@{host}:" if host else f"{name}@"],
        ).fetchone()
    return row[0] if row else None


if __name__ == "__main__":
    age = read_age(sys.argv[1], host="" if "--anywhere" in sys.argv else socket.gethostname())
    sys.exit(age is None or age > _STALE_AFTER_SECONDS)
