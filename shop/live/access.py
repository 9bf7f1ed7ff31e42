"""Who may listen to an order: the same visitors and API clients that may see it in the web process."""

import hashlib
from importlib import import_module
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from shop.accounts.sessions import BearerToken, RevocableSessions
from shop.web.limits import read_address
from shop.web.order_access import may_read_order, may_see_order

_Session = import_module(settings.SESSION_ENGINE).SessionStore
_LOG_INS = RevocableSessions(lambda request: HttpResponse())


class Caller(NamedTuple):
    """A caller that may listen. `visitor` is a hash of the caller's cookie or token."""

    address: str
    visitor: str


def admit(scope: dict[str, Any], orders: list[UUID], *, is_page: bool) -> Caller | None:
    """Return the caller of the ASGI `scope` if it may see all `orders`, otherwise None. Reads the database.

    A page (`is_page`) sends the session's cookie, an API client sends a token. Each ignores the other's credentials.
    """
    request = ASGIRequest(scope, BytesIO())
    address = read_address(request)
    if is_page:
        secret = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        admitted = _admit_page(request, secret, orders)
    else:
        secret = request.headers.get("Authorization", "") or request.headers.get("X-Order-Token", "")
        admitted = _admit_client(request, orders)
    visitor = hashlib.blake2b((secret or address).encode(), digest_size=16).hexdigest()
    return Caller(address, visitor) if admitted else None


def _admit_page(request: HttpRequest, cookie: str, orders: list[UUID]) -> bool:
    request.session = _Session(cookie or None)
    _LOG_INS.process_request(request)
    return all(may_see_order(request, order) for order in orders)


def _admit_client(request: HttpRequest, orders: list[UUID]) -> bool:
    client = Request(request, authenticators=[BearerToken()])
    try:
        return all(may_read_order(client, order) for order in orders)
    except APIException:  # the token is unknown
        return False
