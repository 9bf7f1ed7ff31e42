"""The sandbox gateway as a service over HTTP: `granian --interface wsgi payments.sandbox.wsgi:application`.

POST /v1/authorize, capture, void, refund with an Idempotency-Key; GET /v1/answers/<key> and
/v1/ledger?after=<number>&since=<time>.
"""

import hmac
import logging
import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
import psycopg

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

from django.conf import settings

from payments.gateways.protocol import GatewayAnswer
from payments.sandbox import books, hooks, scripts

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024
PAGE = 1000


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a POST. Amounts are in minor units of `currency`."""

    token: str = ""
    reference: str = ""
    amount: int = 0
    currency: str = ""


# Made here, once: msgspec crashes the process when threads make it at the same moment.
msgspec.json.Decoder(Asked)


class Refused(Exception):
    """The request is not one that is answered: the status and the words that say why."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request; whatever goes wrong here is a 5xx, after which nobody knows what was done."""
    try:
        status, body = route(environ)
    except Refused as refusal:
        status, body = refusal.args[0], {"error": refusal.args[1]}
    except books.KeyReused as error:
        status, body = HTTPStatus.CONFLICT, {"error": str(error)}
    except psycopg.OperationalError as error:
        status, body = HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error).strip()}
    content = msgspec.json.encode(body)
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [content]


def route(environ: dict[str, Any]) -> tuple[HTTPStatus, Any]:
    """Find out what is asked and do it.

    :raises Refused: the address, the credentials or the body are wrong.
    """
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if path == "/healthz":
        with books.open_books() as connection:
            connection.execute("select")
        return HTTPStatus.OK, {"status": "ok"}
    if not hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", ""), f"Bearer {settings.SANDBOX_KEY}"):
        raise Refused(HTTPStatus.UNAUTHORIZED, "no such merchant")
    if method == "POST" and (operation := path.removeprefix("/v1/")) in ("authorize", "capture", "void", "refund"):
        return act(environ, operation)
    if method == "GET" and path.startswith("/v1/answers/"):
        return look_up(unquote(path.removeprefix("/v1/answers/")))
    if method == "GET" and path == "/v1/ledger":
        return HTTPStatus.OK, read_page(environ["QUERY_STRING"])
    raise Refused(HTTPStatus.NOT_FOUND, f"{method} {path} is not known here")


def look_up(key: str) -> tuple[HTTPStatus, Any]:
    """Return what was answered under `key`."""
    with books.open_books() as connection:
        answer = books.find_answer(connection, key)
    if answer is None:
        return HTTPStatus.NOT_FOUND, {"key": key}
    return HTTPStatus.OK, describe(key, answer)


def read_page(query: str) -> list[Any]:
    """Return a page of the ledger behind the entry with the number `after`, from `since` on: [number, entry] each."""
    asked = parse_qs(query)
    after, since = asked.get("after", ["0"])[0], asked.get("since", [""])[0]
    if not after.isdecimal():
        raise Refused(HTTPStatus.BAD_REQUEST, f"after is {after!r}, not a number")
    try:
        begin = datetime.fromisoformat(since) if since else None
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"since is {since!r}, not a time") from error
    with books.open_books() as connection:
        return books.read_page(connection, int(after), PAGE, begin)


def act(environ: dict[str, Any], operation: str) -> tuple[HTTPStatus, Any]:
    """Do what is asked, disturbed by the script of its token or reference if this is the key's first call."""
    key, asked = read_request(environ)
    script = scripts.find_script(asked.token) if operation == "authorize" else scripts.read_script(asked.reference)
    if not script:
        return HTTPStatus.OK, describe(key, book(operation, key, asked))
    with books.open_books() as connection:
        if books.count_call(connection, key) > 1:
            script = ""
    disturb_before(script)
    body = describe(key, book(operation, key, asked))
    disturb_after(script, key, operation, body)
    return HTTPStatus.OK, [body, body] if script == "twice" else body


def read_request(environ: dict[str, Any]) -> tuple[str, Asked]:
    """Return the idempotency key and the body.

    :raises Refused: one of them is missing, too large or has another shape.
    """
    key, length = environ.get("HTTP_IDEMPOTENCY_KEY", ""), environ.get("CONTENT_LENGTH") or "0"
    if not 0 < len(key) <= 255:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the Idempotency-Key has {len(key)} characters, not 1 to 255")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {length} bytes, {MAX_BODY_BYTES} at most")
    try:
        asked = msgspec.json.decode(environ["wsgi.input"].read(int(length)), type=Asked)
    except msgspec.DecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
    if asked.amount < 0:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the amount {asked.amount} is negative")
    return key, asked


def book(operation: str, key: str, asked: Asked) -> GatewayAnswer:
    """Book it and return the answer."""
    with books.open_books() as connection:
        if operation == "authorize":
            return books.authorize(connection, key, asked.token, asked.amount, asked.currency)
        if operation == "refund":
            return books.refund(connection, key, asked.reference, asked.amount)
        amount = asked.amount if operation == "capture" else None
        return books.end_hold(connection, key, operation, asked.reference, amount)


def describe(key: str, answer: GatewayAnswer) -> dict[str, Any]:
    """Return the answer as it goes out: it names the key that it belongs to."""
    return {"key": key, **msgspec.structs.asdict(answer)}


def disturb_before(script: str) -> None:
    """Do what the script wants before anything is booked.

    :raises Refused: nothing will be booked.
    """
    if script == "slow":
        time.sleep(scripts.SLOW_SECONDS)
    elif script == "timeout-before":
        time.sleep(scripts.HANG_SECONDS)
        raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "scripted")
    elif script == "error":
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "scripted")


def disturb_after(script: str, key: str, operation: str, body: dict[str, Any]) -> None:
    """Do what the script wants after it was booked.

    :raises Refused: the answer is lost.
    """
    if script == "timeout-after":
        time.sleep(scripts.HANG_SECONDS)
        raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "scripted")
    if script == "wrong-amount":
        body["amount"] += 1
    elif script.startswith("webhook"):
        tell_by_webhook(script, key, operation)
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "scripted")


def tell_by_webhook(script: str, key: str, operation: str) -> None:
    """Tell the shop what its call came to, as the script wants it."""
    event_id, soon = f"evt_{key}", scripts.SOON_SECONDS
    hooks.tell(key, f"{operation}.booked", event_id, scripts.LATE_SECONDS if script.endswith("late") else soon)
    if script.endswith("doubled"):
        hooks.tell(key, f"{operation}.booked", event_id, soon)
    elif script.endswith("disordered"):
        hooks.tell(key, f"{operation}.received", f"{event_id}:0", 2 * soon)
