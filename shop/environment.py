"""How a setting is read from the environment: a bad value ends the program with a sentence that names the variable.

An empty variable counts as one that is not set.
"""

import hmac
import math
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()


def name_process(arguments: list[str]) -> str:
    """Name a process by its command line, so that PostgreSQL can tell whose a connection is: ``shop run_relay``."""
    program = Path(arguments[0]).name if arguments else ""
    telling = {"manage.py": arguments[1:2], "celery": [word for word in arguments if word in ("worker", "beat")]}
    return " ".join(["shop", *(telling.get(program) or [program])])[:63]


def describe_session(arguments: list[str]) -> dict[str, str | int | None]:
    """Return the connection options of a process: its name, its limits, and how PostgreSQL plans its statements."""
    name = name_process(arguments)
    # The timeouts end what would otherwise keep vacuum, and with it the outbox poll, from removing old rows. JIT is off
    # because compiling a query over the outbox's partitions takes longer than running it.
    options = ["jit=off", "statement_timeout=30s", "idle_in_transaction_session_timeout=30s", "lock_timeout=10s"]
    if name.startswith(_BY_KEY):
        # A plan that is kept from the time when a table was small would read all of it once it is large.
        options.append("enable_seqscan=off")
    return {
        "application_name": name,
        "options": " ".join(f"-c {option}" for option in options),
        # These run few statements, each of them for ever: from the fifth time on PostgreSQL has its plan. The web has
        # shop.statements for that.
        "prepare_threshold": 5 if name.startswith(_BACKGROUND) else None,
    }


_BACKGROUND = ("shop worker", "shop run_relay", "shop consume_")
#: Processes that look their rows up by a key, and never read a whole table if an index serves.
_BY_KEY = (*_BACKGROUND, "shop granian")


def read_text(name: str, default: str) -> str:
    """Read the variable `name`."""
    return str(env.str(name, default="") or default)


def read_secret(name: str, wanted_by: str = "PRODUCTION") -> str:
    """Read a variable that must be set.

    :raises ImproperlyConfigured: it is missing or empty.
    """
    if value := read_text(name, ""):
        return value
    raise ImproperlyConfigured(f"{name} is not set: with {wanted_by} it must be")


def read_port(name: str, default: int) -> int:
    """Read a TCP port.

    :raises ImproperlyConfigured: the value is not a number between 1 and 65535.
    """
    value = read_text(name, str(default))
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise ImproperlyConfigured(f"{name}={value!r} is not a port: give a number from 1 to 65535")
    return int(value)


def read_seconds(name: str, default: float) -> float:
    """Read a length of time in seconds.

    :raises ImproperlyConfigured: the value is no positive number.
    """
    value = read_text(name, str(default))
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ImproperlyConfigured(f"{name}={value!r} is not a length of time: give seconds, more than 0")
    return seconds


def derive_key(secret: str, purpose: str) -> str:
    """Return a key of 64 characters for one purpose, which tells nothing about `secret`."""
    return hmac.new(secret.encode(), purpose.encode(), "sha256").hexdigest()


def read_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Read one of `choices`.

    :raises ImproperlyConfigured: the value is none of them.
    """
    value = read_text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")
    return value


def read_bool(name: str) -> bool:
    """Read a switch, off by default.

    :raises ImproperlyConfigured: the value is neither yes nor no.
    """
    value = read_text(name, "0").lower()
    if value not in (*env.BOOLEAN_TRUE_STRINGS, "0", "false", "no", "off", "n", "f"):
        raise ImproperlyConfigured(f"{name}={value!r} is neither yes nor no: give 1 or 0")
    return value in env.BOOLEAN_TRUE_STRINGS


def read_url(name: str, default: str, schemes: tuple[str, ...], example: str) -> str:
    """Read an address with one of `schemes`. What is wrong with it is told without its value: it may hold a password.

    :raises ImproperlyConfigured: it has another scheme, or a port that is none.
    """
    value = read_text(name, default)
    try:
        parts = urlsplit(value)
        fits = parts.scheme in schemes and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ImproperlyConfigured(f"{name} is not an address like {example}")
    return value


def read_database(name: str, default: str) -> dict[str, Any]:
    """Read the address of a PostgreSQL database as Django's DATABASES wants it.

    :raises ImproperlyConfigured: it is none.
    """
    example = "postgres://user:password@host:5432/name"
    read_url(name, default, ("postgres", "postgresql"), example)
    database: dict[str, Any] = env.db_url_config(read_text(name, default))
    if not database.get("NAME"):
        raise ImproperlyConfigured(f"{name} names no database: give an address like {example}")
    return database


def read_servers(name: str, default: list[str]) -> list[str]:
    """Read a list of ``host:port``, separated by commas.

    :raises ImproperlyConfigured: one of them is something else.
    """
    servers = [server.strip() for server in read_text(name, ",".join(default)).split(",")]
    for server in servers:
        host, _, port = server.rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ImproperlyConfigured(f"{name}: {server!r} is not a server: give host:port, separated by commas")
    return servers
