"""Readers of environment variables. An invalid value raises ImproperlyConfigured with the name of the variable.

An empty variable counts as not set.
"""

import hmac
import math
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()


def name_process(arguments: list[str]) -> str:
    """Return a process's name from its command line `arguments`, for example ``shop run_relay``.

    PostgreSQL shows the name as the `application_name` of the process's connections.
    """
    program = Path(arguments[0]).name if arguments else ""
    subcommands = {"manage.py": arguments[1:2], "celery": [word for word in arguments if word in ("worker", "beat")]}
    return " ".join(["shop", *(subcommands.get(program) or [program])])[:63]


def describe_session(arguments: list[str]) -> dict[str, str | int | None]:
    """Return the database connection options of the process that was started with `arguments`."""
    name = name_process(arguments)
    # A long transaction would keep vacuum from removing old rows, and slow down the outbox poll.
    # JIT is off, because compiling a query over the outbox's partitions takes longer than running it.
    options = ["jit=off", "statement_timeout=30s", "idle_in_transaction_session_timeout=30s", "lock_timeout=10s"]
    # The database or the role may have another default level, and publish() would then refuse every order.
    options.append(r"default_transaction_isolation=read\ committed")
    if name.startswith(_BY_KEY):
        # A cached plan from the time when a table was small would scan the whole table after it has grown.
        options.append("enable_seqscan=off")
    if name.startswith("shop consume_"):
        # A batch of one or two events looks cheaper to the planner than an array of unknown length, so PostgreSQL would
        # plan large statements at each execution. That costs more than it saves.
        options.append("plan_cache_mode=force_generic_plan")
    return {
        "application_name": name,
        "options": " ".join(f"-c {option}" for option in options),
        # libpq's shortest limit: a page says within two seconds that the database is away.
        "connect_timeout": 2 if name.startswith("shop granian") else 3,
        # Background processes repeat few statements, so psycopg prepares each one after five executions.
        # Web processes use shop.statements instead.
        "prepare_threshold": 5 if name.startswith(_BACKGROUND) else None,
    }


_BACKGROUND = ("shop worker", "shop run_relay", "shop run_live", "shop consume_")
#: Processes that read rows by a key, and must not scan a table that has a usable index.
_BY_KEY = (*_BACKGROUND, "shop granian")


def read_text(name: str, default: str) -> str:
    """Return the variable `name`, or `default` if it is missing or empty."""
    return str(env.str(name, default="") or default)


def read_list(name: str, default: str) -> list[str]:
    """Return the entries of the variable `name`, which are separated by commas. Empty entries are dropped."""
    return [entry for part in read_text(name, default).split(",") if (entry := part.strip())]


def read_file(name: str) -> str:
    """Return the path in the variable `name`, or "" if it is missing or empty.

    :raises ImproperlyConfigured: there is no readable file at this path.
    """
    path = read_text(name, "")
    if path:
        _check_file(path, name)
    return path


def read_folder(name: str) -> str:
    """Return the absolute path in the variable `name`, or "" if it is missing or empty.

    The folder need not exist: only the process that uses the folder has it.

    :raises ImproperlyConfigured: the path is not absolute.
    """
    path = read_text(name, "")
    if path and not Path(path).is_absolute():
        raise ImproperlyConfigured(
            f"{name}={path!r} is not an absolute path: give one like {str(Path(path).absolute())!r}"
        )
    return path


def _check_file(path: str, name: str) -> None:
    """Raise ImproperlyConfigured, with `name`, unless `path` is a readable file."""
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ImproperlyConfigured(f"{name}={path!r} can't be read: {error.strerror}") from error


def read_port(name: str, default: int) -> int:
    """Return the TCP port in the variable `name`.

    :raises ImproperlyConfigured: the value is not a number between 1 and 65535.
    """
    value = read_text(name, str(default))
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise ImproperlyConfigured(f"{name}={value!r} is not a port: give a number from 1 to 65535")
    return int(value)


def read_seconds(name: str, default: float) -> float:
    """Return the duration in the variable `name`, in seconds.

    :raises ImproperlyConfigured: the value is not a positive number.
    """
    value = read_text(name, str(default))
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ImproperlyConfigured(f"{name}={value!r} is not a duration: give a number of seconds above 0")
    return seconds


def read_count(name: str, default: int) -> int:
    """Return the whole number in the variable `name`.

    :raises ImproperlyConfigured: the value is not a whole number of at least 1.
    """
    value = read_text(name, str(default))
    if not (value.isascii() and value.isdigit() and 0 < len(value) < 10 and int(value)):
        raise ImproperlyConfigured(f"{name}={value!r} is not a count: give a whole number from 1 to 999999999")
    return int(value)


def derive_key(secret: str, purpose: str) -> str:
    """Return a key of 64 characters for `purpose`. The key reveals nothing about `secret`."""
    return hmac.new(secret.encode(), purpose.encode(), "sha256").hexdigest()


def derive_keys(name: str, purpose: str, secrets: list[str]) -> list[str]:
    """Return the variable `name` as the only key; if it is not set, return a key for `purpose` from each of `secrets`.

    The keys have the order of `secrets`: the first one signs, the others are only accepted.
    """
    given = read_text(name, "")
    return [given] if given else [derive_key(secret, purpose) for secret in secrets]


def read_fallbacks(name: str, secret: str) -> list[str]:
    """Return the keys in the variable `name`, separated by commas. No key may be empty, repeated or equal to `secret`.

    The error message names the position of the wrong key instead of the key.

    :raises ImproperlyConfigured: a key is empty, repeated or equal to `secret`.
    """
    given = read_text(name, "")
    keys = [key.strip() for key in given.split(",")] if given else []
    for number, key in enumerate(keys, start=1):
        if not key:
            raise ImproperlyConfigured(f"{name}: key {number} is empty: give keys without commas, separated by commas")
        if key in [secret, *keys[: number - 1]]:
            raise ImproperlyConfigured(f"{name}: key {number} is SECRET_KEY itself or an earlier key: remove it")
    return keys


def read_days(name: str, default: int, least: int) -> int:
    """Return the number of days in the variable `name`, which is at least `least`.

    :raises ImproperlyConfigured: the value is not a whole number from `least` to 365.
    """
    value = read_text(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 4 and least <= int(value) <= 365):
        raise ImproperlyConfigured(f"{name}={value!r} is not a number of days: give a number from {least} to 365")
    return int(value)


def read_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return the value of the variable `name`, which must be one of `choices`.

    :raises ImproperlyConfigured: the value is not one of `choices`.
    """
    value = read_text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")
    return value


def read_bool(name: str) -> bool:
    """Return the boolean variable `name`, False by default.

    :raises ImproperlyConfigured: the value is not a boolean.
    """
    value = read_text(name, "0").lower()
    if value not in (*env.BOOLEAN_TRUE_STRINGS, "0", "false", "no", "off", "n", "f"):
        raise ImproperlyConfigured(f"{name}={value!r} is not a boolean: give 1 or 0")
    return value in env.BOOLEAN_TRUE_STRINGS


def read_url(name: str, default: str, schemes: tuple[str, ...], example: str) -> str:
    """Return the URL in the variable `name`. Its scheme must be one of `schemes`.

    The error message does not contain the value, because the value may contain a password.

    :raises ImproperlyConfigured: the URL has another scheme or an invalid port.
    """
    value = read_text(name, default)
    try:
        parts = urlsplit(value)
        fits = parts.scheme in schemes and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ImproperlyConfigured(f"{name} is not a valid address: give one like {example}")
    return value


def read_database(name: str, default: str) -> dict[str, Any]:
    """Return the PostgreSQL address in the variable `name` as an entry for Django's DATABASES.

    :raises ImproperlyConfigured: the address is invalid, or contains no database name.
    """
    example = "postgres://user:password@host:5432/name"
    read_url(name, default, ("postgres", "postgresql"), example)
    database: dict[str, Any] = env.db_url_config(read_text(name, default))
    if not database.get("NAME"):
        raise ImproperlyConfigured(f"{name} contains no database name: give an address like {example}")
    options = database.get("OPTIONS", {})
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        raise ImproperlyConfigured(f"{name}: sslmode={options['sslmode']!r} is not one of {', '.join(_SSL_MODES)}")
    for option in ("sslrootcert", "sslcert", "sslkey", "passfile"):
        if read_text(name, "") and options.get(option, "system") != "system":
            _check_file(str(options[option]), f"{name}: {option}")
    return database


_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def read_valkey(name: str, default: str) -> str:
    """Return the address of Valkey in the variable `name`, with the scheme ``redis``, or ``rediss`` for TLS.

    :raises ImproperlyConfigured: the address is invalid, or names a file of certificates that can't be read.
    """
    url = read_url(name, default, ("redis", "rediss"), "redis://:password@host:6379/0")
    options, encrypted = dict(parse_qsl(urlsplit(url).query)), urlsplit(url).scheme == "rediss"
    if not encrypted and any(option.startswith("ssl_") for option in options):
        raise ImproperlyConfigured(f"{name} has options of TLS, but its scheme is redis: write rediss://")
    if options.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        found = options["ssl_cert_reqs"]
        raise ImproperlyConfigured(f"{name}: ssl_cert_reqs={found!r} is not one of required, optional, none")
    for option in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if option in options:
            _check_file(options[option], f"{name}: {option}")
    if encrypted and "ssl_cert_reqs" not in options:
        # Without this option Celery would accept any certificate.
        url += f"{'&' if options else '?'}ssl_cert_reqs=required"
    return url


def read_servers(name: str, default: list[str]) -> list[str]:
    """Return the servers in the variable `name`: ``host:port`` entries, separated by commas.

    :raises ImproperlyConfigured: an entry is not ``host:port``.
    """
    servers = [server.strip() for server in read_text(name, ",".join(default)).split(",")]
    for server in servers:
        host, _, port = server.rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ImproperlyConfigured(
                f"{name}: {server!r} is not a server address: give host:port entries, separated by commas"
            )
    return servers
