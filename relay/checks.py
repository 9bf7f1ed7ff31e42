"""System checks of the relay: what is wrong with the settings, the installation or the database, before it fails.

`manage.py check` runs them. Those that query the database run with `--database ALIAS`, and in `migrate`.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router
from django.utils.module_loading import import_string
from psycopg import IsolationLevel

from relay.conf import configuration
from relay.database.fitness import find_faults
from relay.models import Outbox

_HINT_OF_LEVEL = "publish() and consumers need READ COMMITTED. Remove the other level, or use another alias."


@register("relay")
def check_modules(**options: Any) -> list[CheckMessage]:
    """Return relay.E001 for each module of EVENTS and each path of CONSUMERS that can't be imported."""
    configured = configuration()
    found: list[CheckMessage] = []
    keys: list[tuple[str, list[str], Callable[[str], object]]] = [
        ("EVENTS", configured.events, import_module),
        ("CONSUMERS", configured.consumers, import_string),
    ]
    for key, names, load in keys:
        for name in names:
            try:
                load(name)
            except (ImportError, ValueError) as error:
                hint = "Correct the spelling, or install what the module imports."
                found.append(Error(f'RELAY["{key}"] names {name!r}: {error}', hint=hint, id="relay.E001"))
    return found


@register("relay")
def check_alias(**options: Any) -> list[CheckMessage]:
    """Return relay.E004 unless RELAY["DATABASE"] is an alias of PostgreSQL to which the relay's models are routed."""
    alias = configuration().database
    name = f'RELAY["DATABASE"] is {alias!r}'
    if alias not in settings.DATABASES:
        hint = f"Choose one of {', '.join(sorted(settings.DATABASES))}, or add the alias to DATABASES."
        return [Error(f"{name}, but DATABASES has no such alias.", hint=hint, id="relay.E004")]
    if connections[alias].vendor != "postgresql":
        hint = "Use a database with the engine django.db.backends.postgresql."
        return [Error(f"{name}, a database of {connections[alias].vendor}.", hint=hint, id="relay.E004")]
    if (routed := router.db_for_write(Outbox)) != alias:
        hint = 'Add "relay.database.router.Router" to DATABASE_ROUTERS, before other routers.'
        return [Error(f"{name}, but the relay's models use {routed!r}.", hint=hint, id="relay.E004")]
    return []


@register("relay")
def check_isolation_option(**options: Any) -> list[CheckMessage]:
    """Return relay.E002 if the options of the relay's database choose another level than READ COMMITTED."""
    alias = configuration().database
    level = settings.DATABASES.get(alias, {}).get("OPTIONS", {}).get("isolation_level")
    if level is None or level == IsolationLevel.READ_COMMITTED:
        return []
    try:
        level = IsolationLevel(level).name
    except ValueError:
        level = repr(level)
    message = f"The isolation_level in the OPTIONS of DATABASES[{alias!r}] is {level}."
    return [Error(message, hint=_HINT_OF_LEVEL, id="relay.E002")]


@register("relay")
def check_client(**options: Any) -> list[CheckMessage]:
    """Return relay.E005 for each missing package without which nothing is sent; relay.W001 for a slow checksum."""
    hint = 'pip install "kafka-python[crc32c,lz4]==3.0.12"'
    found: list[CheckMessage] = [
        Error(f"The Kafka client lacks the package {package!r}.", hint=hint, id="relay.E005")
        for package in ("kafka", "lz4")
        if not _is_installed(package)
    ]
    if not _is_installed("crc32c"):
        message = "Without the package 'crc32c' building a batch takes 24 times as long."
        found.append(Warning(message, hint=hint, id="relay.W001"))
    return found


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@register(Tags.database)
def check_database(*, databases: Sequence[str] | None = None, **options: Any) -> list[CheckMessage]:
    """Return relay.E002, E003 and W002 for the conditions that the relay's database, if chosen, does not meet."""
    alias = configuration().database
    if alias not in (databases or ()) or check_alias():
        return []
    return [
        (Error if fault.is_serious else Warning)(fault.message, hint=fault.hint, id=f"relay.{fault.code}")
        for fault in find_faults()
    ]
