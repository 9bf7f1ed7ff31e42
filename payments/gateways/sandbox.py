"""The shop's side of the sandbox gateway: HTTP over kept connections, within time-outs, nothing sent twice."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3
from django.conf import settings

from payments.gateways.protocol import (
    CALL_SECONDS,
    BadHint,
    GatewayAnswer,
    GatewayUnavailable,
    LedgerEntry,
    MalformedAnswer,
)
from payments.gateways.signatures import check_signature

MAX_ANSWER_BYTES = 2_000_000
#: The gateway's threads that ask at once, and a few for those that were left to themselves.
CONNECTIONS = 80


class SandboxGateway:
    """The gateway at settings.SANDBOX_URL. What its tokens do stands in payments/sandbox/scripts.py."""

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount`, unless the token is to be declined.

        :raises GatewayUnavailable: no answer; the outcome is unknown.
        :raises MalformedAnswer: the answer belongs to another key or has another shape.
        """
        return self._act("authorize", key, {"token": token, "amount": amount, "currency": currency})

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Take what is held: once, and never more than that. Raises as `authorize` does."""
        return self._act("capture", key, {"reference": reference, "amount": amount})

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Give back what is held, unless it was captured or given back before. Raises as `authorize` does."""
        return self._act("void", key, {"reference": reference})

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Give back what was captured, in parts or at once, never more than that. Raises as `authorize` does."""
        return self._act("refund", key, {"reference": reference, "amount": amount})

    def lookup(self, key: str, reference: str = "") -> GatewayAnswer | None:
        """Return the answer that was given under `key`, None when there was none. Raises as `authorize` does."""
        status, body = ask("GET", f"/v1/answers/{quote(key, safe='')}")
        return None if status == 404 else read_answer(key, status, body)

    def read_ledger(self, since: datetime | None = None) -> Iterator[LedgerEntry]:
        """Yield every entry, or those from `since` on, oldest first.

        :raises GatewayUnavailable: the books can't be read.
        """
        number, begin = 0, quote(since.isoformat(), safe="") if since else ""
        while True:
            status, body = ask("GET", f"/v1/ledger?after={number}&since={begin}")
            if status != 200:
                raise GatewayUnavailable(f"the gateway answered {status} instead of its ledger: {body!r:.200}")
            page = msgspec.json.decode(body, type=list[tuple[int, LedgerEntry]])
            if not page:
                return
            yield from (entry for _, entry in page)
            number = page[-1][0]

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """Return a webhook's own id and the idempotency key that it is about.

        :raises BadHint: it is not signed by the gateway, too old, or has another shape.
        """
        check_signature(headers.get("Sandbox-Signature", ""), body, settings.PAYMENT_WEBHOOK_SECRET, time.time())
        try:
            hint = msgspec.json.decode(body, type=dict[str, str])
            return hint["id"], hint["key"]
        except (msgspec.DecodeError, KeyError) as error:
            raise BadHint(f"the hint has a wrong shape: {error}") from error

    def _act(self, operation: str, key: str, asked: dict[str, Any]) -> GatewayAnswer:
        status, body = ask("POST", f"/v1/{operation}", key, msgspec.json.encode(asked))
        return read_answer(key, status, body)


def ask(method: str, path: str, key: str = "", body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request and return the status and the body of its answer.

    :raises GatewayUnavailable: there is no whole answer within the time-outs.
    """
    headers = {"Authorization": f"Bearer {settings.SANDBOX_KEY}", "Idempotency-Key": key}
    pool = open_pool(settings.SANDBOX_URL)
    until = time.monotonic() + CALL_SECONDS - settings.GATEWAY_READ_SECONDS
    timeout = urllib3.Timeout(connect=settings.GATEWAY_CONNECT_SECONDS, read=settings.GATEWAY_READ_SECONDS)
    try:
        answer = pool.urlopen(method, path, body, headers, retries=False, timeout=timeout, preload_content=False)
        try:
            content = read_body(answer, until)
        finally:
            # A body that was not read to its end would be taken for the next call's answer.
            answer.release_conn() if answer.length_remaining == 0 else answer.close()
    except urllib3.exceptions.HTTPError as error:
        raise GatewayUnavailable(str(error)) from error
    return answer.status, content


def read_body(answer: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """Return the answer's body. A time-out is that of a piece: one that comes in drops would take for ever.

    :raises GatewayUnavailable: it is too long, or not whole by `until`, of the monotonic clock.
    """
    content = bytearray()
    while piece := answer.read1(65536):
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise GatewayUnavailable(f"the gateway's answer has more than {MAX_ANSWER_BYTES} bytes")
        if answer.length_remaining != 0 and time.monotonic() > until:
            raise GatewayUnavailable(f"the gateway's answer has not ended after {len(content)} bytes")
    return bytes(content)


@lru_cache(maxsize=8)
def open_pool(url: str) -> urllib3.HTTPConnectionPool:
    """Return the connections that are kept to `url`."""
    return urllib3.connection_from_url(url, maxsize=CONNECTIONS)


def read_answer(key: str, status: int, body: bytes) -> GatewayAnswer:
    """Return the answer that `body` holds, which must name `key`: one that came twice may be another call's.

    :raises GatewayUnavailable: the status is no success.
    :raises MalformedAnswer: the body has another shape, or belongs to another key.
    """
    if status != 200:
        raise GatewayUnavailable(f"the gateway answered {status}: {body.decode(errors='replace'):.200}")
    try:
        answer = msgspec.json.decode(body)
        named = answer.pop("key")
        known = msgspec.convert(answer, GatewayAnswer)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as error:
        raise MalformedAnswer(f"the answer has a wrong shape: {error}, got {body!r:.200}") from error
    if named != key:
        raise MalformedAnswer(f"the answer belongs to key {named!r}, asked was {key!r}")
    return known
