"""Addresses of the shop's parts, in the form that browsers, `psql` and other clients accept."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from rich.console import Console
from rich.table import Table

# The options of a connection that psql needs as well. The passfile contains the password.
_ENCRYPTION = {"sslmode", "sslrootcert", "sslcert", "sslkey", "passfile"}
DEMO_USER = DEMO_PASSWORD = "staff"


def list_addresses() -> dict[str, str]:
    """Return the address of each part that listens on a port, by the part's name."""
    host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "") else settings.HOST
    return {
        "web": f"http://{host}:{settings.PORT}/",
        "api": f"http://{host}:{settings.PORT}/api/docs/",
        "admin": f"http://{host}:{settings.PORT}/admin/",
        **({"gateway": settings.SANDBOX_URL} if settings.SANDBOX_IS_USED else {}),
        "postgres": make_database_url(settings.DATABASES["default"]),
        "kafka": ",".join(settings.KAFKA_BOOTSTRAP_SERVERS),
        "valkey": _without_password(settings.CELERY_BROKER_URL),
    }


def show_addresses(addresses: dict[str, str], *, with_web: bool) -> None:
    """Print `addresses` as a table; `with_web` adds the web pages and, outside production, the demo log-in."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    names = {"web": "storefront", "api": "API documentation", "admin": "admin"}
    for part, address in addresses.items():
        if with_web or part not in names:
            table.add_row(names.get(part, part), address)
    if with_web and not settings.PRODUCTION:
        table.add_row("admin user / password", f"{DEMO_USER} / {DEMO_PASSWORD}")
    Console(soft_wrap=True).print(table)


def make_database_url(database: Mapping[str, Any]) -> str:
    """Return the address of a database of settings.DATABASES as psql accepts it, without a password."""
    user, host, port, name = (quote(str(database.get(key) or ""), safe="") for key in ("USER", "HOST", "PORT", "NAME"))
    if ":" in str(database.get("HOST")):
        host = f"[{database['HOST']}]"
    encryption = {key: value for key, value in database.get("OPTIONS", {}).items() if key in _ENCRYPTION}
    address = f"postgresql://{user}{'@' * bool(user)}{host}{':' * bool(port)}{port}/{name}"
    return f"{address}?{urlencode(encryption)}" if encryption else address


def _without_password(url: str) -> str:
    scheme, _, remainder = url.partition("://")
    return f"{scheme}://{remainder.rpartition('@')[2]}"
