"""Addresses of the shop's parts, in the form that browsers, `psql` and other clients accept."""

from django.conf import settings
from rich.console import Console
from rich.table import Table

DEMO_USER = DEMO_PASSWORD = "staff"


def list_addresses() -> dict[str, str]:
    """Return the address of each part that listens on a port, by the part's name."""
    host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "") else settings.HOST
    database = settings.DATABASES["default"]
    return {
        "web": f"http://{host}:{settings.PORT}/",
        "api": f"http://{host}:{settings.PORT}/api/docs/",
        "admin": f"http://{host}:{settings.PORT}/admin/",
        **({"gateway": settings.SANDBOX_URL} if settings.SANDBOX_IS_USED else {}),
        "postgres": f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}",
        "kafka": ",".join(settings.KAFKA_BOOTSTRAP_SERVERS),
        "valkey": _without_password(settings.CELERY_BROKER_URL),
    }


def show_addresses(addresses: dict[str, str], *, with_web: bool) -> None:
    """Print `addresses` as a table; `with_web` adds the web pages and, outside production, the demo log-in."""
    table = Table(show_header=False)
    names = {"web": "storefront", "api": "API documentation", "admin": "admin"}
    for part, address in addresses.items():
        if with_web or part not in names:
            table.add_row(names.get(part, part), address)
    if with_web and not settings.PRODUCTION:
        table.add_row("admin user / password", f"{DEMO_USER} / {DEMO_PASSWORD}")
    Console(soft_wrap=True).print(table)


def _without_password(url: str) -> str:
    scheme, _, remainder = url.partition("://")
    return f"{scheme}://{remainder.rpartition('@')[2]}"
