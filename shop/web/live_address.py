"""The addresses at which pages and API clients listen to orders."""

from collections.abc import Iterable
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest


def find_live_base(request: HttpRequest) -> str:
    """Return the base address of the live process, or "" if a proxy serves it at the address of the shop."""
    base: str = settings.LIVE_URL
    if not base.startswith(":"):
        return base
    return f"{request.scheme}://{request.get_host().partition(':')[0]}{base}"


def find_live_url(request: HttpRequest, orders: Iterable[UUID]) -> str:
    """Return the address of the stream of `orders` for the page of `request`."""
    return f"{find_live_base(request)}/live/orders/?{urlencode([('id', str(order)) for order in orders])}"
