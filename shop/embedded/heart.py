"""Health check of one process for containers: `python shop/embedded/heart.py NAME`.

The exit code is 0 if the process has stored a heartbeat within 15 s. The check reads the heartbeats of this host;
`--anywhere` reads the heartbeats of all hosts. The module does not import Django, because each container runs it every
few seconds.
"""

import os
import socket
import sys

import psycopg

_STALE_AFTER_SECONDS = 15


def read_age(name: str, host: str = "") -> float | None:
    """Return the age in seconds of the newest heartbeat `name` on `host` (or on any host), or None without one."""
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3, application_name="shop heart") as connection:
        row = connection.execute(
            "select min(abs(extract(epoch from clock_timestamp() - at)))::float8 from relay_heartbeat"
            " where starts_with(process, %s)",
            [f"{name}@{host}:" if host else f"{name}@"],
        ).fetchone()
    return row[0] if row else None


if __name__ == "__main__":
    age = read_age(sys.argv[1], host="" if "--anywhere" in sys.argv else socket.gethostname())
    sys.exit(age is None or age > _STALE_AFTER_SECONDS)
