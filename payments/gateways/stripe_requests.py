"""Requests to Stripe through its library, without retries, with a deadline for all requests of one gateway call."""

import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from typing import Any

import requests
import stripe
from django.conf import settings

from payments.gateways.bodies import read_body
from payments.gateways.protocol import CALL_SECONDS, GatewayFailed, GatewayUnavailable, SearchUnfinished

#: Objects per page of a list.
PAGE = 100
#: Maximum number of pages that one lookup reads. The next lookup continues after the last page.
LOOKUP_PAGES = 20

#: The time (monotonic clock) at which the current gateway call must end.
_until: ContextVar[float] = ContextVar("until")


class _Session(requests.Session):
    """A session that ends each request at the deadline of the gateway call, even if the body arrives in small parts."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        until = _until.get()
        left = until - time.monotonic()
        if left <= 0:
            raise requests.Timeout("no time is left for another request of this gateway call")
        connect, read = options.pop("timeout")
        options |= {"timeout": (min(connect, left), min(read, left)), "stream": True}
        response = super().request(*args, **options)
        try:
            response.raw.decode_content = True
            response._content = read_body(response.raw, until)
            response._content_consumed = True
        except BaseException:
            response.close()
            raise
        return response


class _Client(stripe.RequestsClient):
    """The HTTP client of Stripe's library, with a session for each thread."""

    def request(self, *args: Any, **options: Any) -> Any:
        if getattr(self._thread_local, "session", None) is None:
            self._thread_local.session = _Session()
        return super().request(*args, **options)


def begin_call() -> float:
    """Return the time (monotonic clock) at which a gateway call that begins now must end."""
    return time.monotonic() + CALL_SECONDS


@lru_cache(maxsize=8)
def open_client(key: str, url: str, connect: float, read: float) -> stripe.StripeClient:
    """Return a client with the timeouts `connect` and `read` (seconds) and without retries."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        max_network_retries=0,
        http_client=_Client(timeout=(connect, read)),
    )


def ask(call: Callable[[stripe.StripeClient, Any], Any], key: str = "", *, until: float) -> Any:
    """Return the object that Stripe returned, or the reason as a string if Stripe refused the call for good.

    :raises GatewayFailed: Stripe answered with an error of its own.
    :raises GatewayUnavailable: the outcome is unknown at `until`, or Stripe refuses the shop's key.
    """
    client = open_client(
        settings.STRIPE_KEY, settings.STRIPE_URL, settings.GATEWAY_CONNECT_SECONDS, settings.GATEWAY_READ_SECONDS
    )
    token = _until.set(until)
    try:
        return call(client, {"idempotency_key": key} if key else {})
    except stripe.CardError as error:
        return error.code or "card_declined"
    except stripe.StripeError as error:
        # Without the id of the request the text is equal for a repeated answer.
        text = f"Stripe answered {error.http_status or 'nothing'}: {type(error).__name__}: {error.user_message}"
        if isinstance(error, stripe.InvalidRequestError) and error.http_status in (400, 404):
            return f"{error.code or 'refused'}: {error.user_message or error}"
        raise GatewayFailed(text) if (error.http_status or 0) >= 500 else GatewayUnavailable(text) from error
    finally:
        _until.reset(token)


def retrieve(reference: str, until: float) -> Any:
    """Return the PaymentIntent `reference`.

    :raises GatewayUnavailable: Stripe does not return it.
    """
    intent = ask(lambda client, options: client.v1.payment_intents.retrieve(reference, {}, options), until=until)
    if isinstance(intent, str):
        raise GatewayUnavailable(f"Stripe does not return the intent {reference!r}: {intent}")
    return intent


def read_page(fetch: Callable[[stripe.StripeClient, Any], Any], wanted: dict[str, Any], until: float) -> Any:
    """Return one page of a list, newest first.

    :raises GatewayUnavailable: Stripe does not return the page.
    """
    page = ask(lambda client, _: fetch(client, {"limit": PAGE, **wanted}), until=until)
    if isinstance(page, str):
        raise GatewayUnavailable(f"Stripe does not return a list: {page}")
    return page


def read_pages(fetch: Callable[[stripe.StripeClient, Any], Any], since: datetime | None = None) -> Iterator[Any]:
    """Yield the objects of a list, newest first, with `since` only objects created from then on.

    :raises GatewayUnavailable: Stripe does not return a page.
    """
    wanted: dict[str, Any] = {"created": {"gte": int(since.timestamp())}} if since else {}
    while True:
        page = read_page(fetch, wanted, begin_call())
        yield from page.data
        if not page.has_more or not page.data:
            return
        wanted["starting_after"] = page.data[-1].id


def search(
    fetch: Callable[[stripe.StripeClient, Any], Any],
    fits: Callable[[Any], bool],
    wanted: dict[str, Any],
    cursor: str,
    until: float,
) -> Any:
    """Return the first object of a list, newest first, that `fits`, or None. Begin after the object `cursor`.

    :raises SearchUnfinished: LOOKUP_PAGES pages or the time until `until` were not enough.
    :raises GatewayUnavailable: Stripe does not return the first page.
    """
    for number in range(LOOKUP_PAGES):
        try:
            page = read_page(fetch, {**wanted, **({"starting_after": cursor} if cursor else {})}, until)
        except GatewayUnavailable as error:
            if number:
                raise SearchUnfinished(cursor) from error
            raise
        for result in page.data:
            if fits(result):
                return result
        if not page.has_more or not page.data:
            return None
        cursor = str(page.data[-1].id)
    raise SearchUnfinished(cursor)
