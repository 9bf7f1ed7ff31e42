"""A pytest plugin that selects the ports and the folder of this run's shop before Django reads its settings.

The plugin also sets the seed of tests that use random samples. The default seed is fixed, so local runs use the same
samples as CI.
"""

import os
import secrets
import socket
from pathlib import Path
from zlib import crc32


def is_free(port: int) -> bool:
    """Return whether `port` and the ports derived from it in shop/settings.py are free."""
    parts = 10000 + port * 16 % 22000
    for number in (port, *range(parts, parts + 12)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True


# Each worker process of pytest-xdist ("gw0", "gw1") has a separate shop.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
FIRST = crc32(str(Path(__file__).resolve()).encode()) % 300 + 60 * int(WORKER.removeprefix("gw"))


def choose_port(lowest: int) -> int:
    """Return a free port from `lowest` to `lowest` + 299.

    The search begins at another port in each checkout and worker, so simultaneous runs do not select the same port.
    """
    return next(port for n in range(300) if is_free(port := lowest + (FIRST + n) % 300))


PORTS = ("POSTGRES_PORT", "KAFKA_PORT", "VALKEY_PORT", "SANDBOX_PORT")
for variable in ("DEBUG", "PRODUCTION", "BROKERS", *PORTS, "EMAIL_URL"):
    os.environ.pop(variable, None)
os.environ["PORT"] = str(choose_port(8700))
# With SECURE=1 the shop of the tests has passwords, certificates and a folder of its own. This process and the shop
# derive the passwords from SECURE_KEY, because settings are read before the shop's folder exists.
SECURE = os.environ.get("SECURE") == "1"
os.environ["SECURE"] = "1" if SECURE else "0"
os.environ.pop("SECURE_KEY", None)
if SECURE:
    os.environ["SECURE_KEY"] = secrets.token_hex(32)
FOLDER = ("secure" if SECURE else "test") + ("" if WORKER == "gw0" else f"-{WORKER}")
os.environ["VAR_DIR"] = str(Path(__file__).resolve().parent.parent / "var" / FOLDER)
# All requests of tests come from one address and would exceed its rate limits.
os.environ["RATE_LIMITS"] = "off"
# The pages of the lab exist in this process. Only the shop of the fixture `running_shop` has the lab's process.
os.environ["LAB"] = "1"
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
os.environ["SEED"] = os.environ.get("SEED") or "1"


def pytest_report_header() -> str:
    """Return a line with the seed for pytest's header."""
    return f"SEED={os.environ['SEED']} (SEED=$RANDOM draws other samples)"
