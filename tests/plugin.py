"""Gives this run of the tests a copy of the shop of its own: ports and folder, set before Django reads its settings.

Sets the seed of all tests that draw samples as well. It is fixed, so that each run draws what CI draws.
"""

import os
import socket
from pathlib import Path
from zlib import crc32


def is_free(port: int) -> bool:
    """Tell whether the port, and those of the parts that follow from it (see shop/settings.py), can be listened on."""
    parts = 10000 + port * 16 % 22000
    for number in (port, *range(parts, parts + 12)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True


# With pytest-xdist each worker process ("gw0", "gw1") has a copy.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
FIRST = crc32(str(Path(__file__).resolve()).encode()) % 300 + 100 * int(WORKER.removeprefix("gw"))


def choose_port(lowest: int) -> int:
    """Return a free port from `lowest` to `lowest` + 299.

    Each checkout and worker begins at another port: two that start at the same moment do not choose the same one.
    """
    return next(port for n in range(300) if is_free(port := lowest + (FIRST + n) % 300))


PORTS = ("POSTGRES_PORT", "KAFKA_PORT", "VALKEY_PORT", "SANDBOX_PORT")
for variable in ("DEBUG", "PRODUCTION", "BROKERS", *PORTS, "EMAIL_URL"):
    os.environ.pop(variable, None)
os.environ["PORT"] = str(choose_port(8700))
FOLDER = "test" if WORKER == "gw0" else f"test-{WORKER}"
os.environ["VAR_DIR"] = str(Path(__file__).resolve().parent.parent / "var" / FOLDER)
# All tests come from one address.
os.environ["RATE_LIMITS"] = "off"
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
os.environ["SEED"] = os.environ.get("SEED") or "1"


def pytest_report_header() -> str:
    """Return the line with the seed for the header of the run."""
    return f"SEED={os.environ['SEED']} (SEED=$RANDOM draws other samples)"
