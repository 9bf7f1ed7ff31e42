"""The sandbox gateway's HTTP service: `granian --interface wsgi payments.sandbox.wsgi:application`.

Requests: POST /v1/authorize, /v1/capture, /v1/void and /v1/refund with the header Idempotency-Key; POST /v1/dispute as
a customer's bank; GET /v1/answers/<key>; GET /v1/ledger?after=<number>&since=<time>.
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

from payments.gateways.protocol import ATTEMPT_MARK, GatewayAnswer
from payments.sandbox import books, hooks, scripts

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024
OPERATIONS = ("authorize", "capture", "void", "refund", "dispute")
PAGE = 1000


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a POST. Amounts are in minor units of `currency`."""

    token: str = ""
    reference: str = ""
    amount: int = 0
    currency: str = ""


# Create the decoder at import: msgspec crashes the process when two threads create the same one at the same time.
msgspec.json.Decoder(Parameters)


class Refused(Exception):
    """The request is refused. The arguments are the HTTP status and the reason."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request. After an internal error (5xx) the client does not know whether an entry was stored."""
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
    """Process a request and return the status and the body of the answer.

    :raises Refused: the path, the credentials or the body are wrong.
    """
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if path == "/healthz":
        with books.open_books() as connection:
            connection.execute("select")
        return HTTPStatus.OK, {"status": "ok"}
    given = environ.get("HTTP_AUTHORIZATION", "").encode()
    if not any(hmac.compare_digest(given, f"Bearer {key}".encode()) for key in settings.SANDBOX_KEYS):
        raise Refused(HTTPStatus.UNAUTHORIZED, "unknown merchant: check SANDBOX_KEY")
    if method == "POST" and (operation := path.removeprefix("/v1/")) in OPERATIONS:
        return act(environ, operation)
    if method == "GET" and path.startswith("/v1/answers/"):
        return look_up(unquote(path.removeprefix("/v1/answers/")))
    if method == "GET" and path == "/v1/ledger":
        return HTTPStatus.OK, read_page(environ["QUERY_STRING"])
    raise Refused(HTTPStatus.NOT_FOUND, f"{method} {path} is not supported")


def look_up(key: str) -> tuple[HTTPStatus, Any]:
    """Return the answer to the earlier call with `key`, with status 404 if there is none."""
    with books.open_books() as connection:
        answer = books.find_attempt(connection, key)
    if answer is None:
        return HTTPStatus.NOT_FOUND, {"key": key}
    return HTTPStatus.OK, describe(key, answer)


def read_page(query: str) -> list[Any]:
    """Return a page of the ledger as a list of (number, entry), after the number `after` and from `since` on.

    :raises Refused: `after` is not a number or `since` is not a time.
    """
    parameters = parse_qs(query)
    after, since = parameters.get("after", ["0"])[0], parameters.get("since", [""])[0]
    if not after.isdecimal():
        raise Refused(HTTPStatus.BAD_REQUEST, f"after is {after!r}, not a number")
    try:
        begin = datetime.fromisoformat(since) if since else None
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"since is {since!r}, not a time") from error
    with books.open_books() as connection:
        return books.read_page(connection, int(after), PAGE, begin)


def act(environ: dict[str, Any], operation: str) -> tuple[HTTPStatus, Any]:
    """Store the entry and return the answer. The script of the token or reference disturbs the key's first call."""
    key, parameters = read_request(environ)
    is_new = operation == "authorize"
    script = scripts.find_script(parameters.token) if is_new else scripts.read_script(parameters.reference)
    if not script:
        return HTTPStatus.OK, describe(key, book(operation, key, parameters))
    with books.open_books() as connection:
        if books.count_call(connection, key) > 1 and script != "error-repeated":
            script = ""
    if script == "error-repeated" and ATTEMPT_MARK in key:
        script = ""
    disturb_before(script)
    body = describe(key, book(operation, key, parameters))
    disturb_after(script, key, operation, body)
    return HTTPStatus.OK, [body, body] if script == "twice" else body


def read_request(environ: dict[str, Any]) -> tuple[str, Parameters]:
    """Return the idempotency key and the decoded body.

    :raises Refused: the key or the body is missing, too large or malformed.
    """
    key, length = environ.get("HTTP_IDEMPOTENCY_KEY", ""), environ.get("CONTENT_LENGTH") or "0"
    if not 0 < len(key) <= 255:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the Idempotency-Key has {len(key)} characters, expected 1 to 255")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        too_long = f"the body has {length} bytes, the limit is {MAX_BODY_BYTES}"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_long)
    try:
        parameters = msgspec.json.decode(environ["wsgi.input"].read(int(length)), type=Parameters)
    except msgspec.DecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
    if parameters.amount < 0:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the amount {parameters.amount} is negative")
    return key, parameters


def book(operation: str, key: str, parameters: Parameters) -> GatewayAnswer:
    """Store the entry in the ledger and return the answer."""
    with books.open_books() as connection:
        if operation == "authorize":
            return books.authorize(connection, key, parameters.token, parameters.amount, parameters.currency)
        if operation == "refund":
            return books.refund(connection, key, parameters.reference, parameters.amount)
        if operation == "dispute":
            return books.dispute(connection, key, parameters.reference, parameters.amount)
        amount = parameters.amount if operation == "capture" else None
        return books.end_hold(connection, key, operation, parameters.reference, amount)


def describe(key: str, answer: GatewayAnswer) -> dict[str, Any]:
    """Return the answer's body, which names the idempotency key of its call."""
    return {"key": key, **msgspec.structs.asdict(answer)}


def disturb_before(script: str) -> None:
    """Run the part of `script` before the entry is stored.

    :raises Refused: the call ends without an entry.
    """
    if script == "slow":
        time.sleep(scripts.SLOW_SECONDS)
    elif script == "timeout-before":
        time.sleep(scripts.HANG_SECONDS)
        raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "scripted")
    elif script in ("error", "error-repeated"):
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "scripted")


def disturb_after(script: str, key: str, operation: str, body: dict[str, Any]) -> None:
    """Run the part of `script` after the entry is stored.

    :raises Refused: the client gets no answer.
    """
    if script == "timeout-after":
        time.sleep(scripts.HANG_SECONDS)
        raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "scripted")
    if script == "wrong-amount":
        body["amount"] += 1
    elif script.startswith("webhook"):
        send_webhooks(script, key, operation)
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "scripted")


def send_webhooks(script: str, key: str, operation: str) -> None:
    """Schedule the webhooks of `script` about the call with `key`."""
    event_id, soon = f"evt_{key}", scripts.SOON_SECONDS
    delay = scripts.LATE_SECONDS if script.endswith("late") else soon
    hooks.schedule_webhook(key, f"{operation}.booked", event_id, delay)
    if script.endswith("doubled"):
        hooks.schedule_webhook(key, f"{operation}.booked", event_id, soon)
    elif script.endswith("disordered"):
        hooks.schedule_webhook(key, f"{operation}.received", f"{event_id}:0", 2 * soon)
