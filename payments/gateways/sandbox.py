"""The client of the sandbox gateway: HTTP over kept connections, with timeouts and without retries."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3
from django.conf import settings

from payments.gateways.bodies import read_body
from payments.gateways.protocol import (
    CALL_SECONDS,
    BadHint,
    GatewayAnswer,
    GatewayFailed,
    GatewayHint,
    GatewayUnavailable,
    LedgerEntry,
    MalformedAnswer,
)
from payments.gateways.signatures import check_signature

#: Connections kept open: one for each of the 64 threads that call the gateway, and some spare ones.
CONNECTIONS = 80


class SandboxGateway:
    """The gateway at settings.SANDBOX_URL. payments/sandbox/scripts.py describes the effect of each token."""

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount`, unless the gateway declines the token.

        :raises GatewayUnavailable: the gateway gave no usable answer; the outcome is unknown.
        :raises MalformedAnswer: the answer belongs to another key or has a wrong shape.
        """
        return self._act("authorize", key, {"token": token, "amount": amount, "currency": currency})

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Capture `amount` of the authorization, which can be captured once. Raises the errors of `authorize`."""
        return self._act("capture", key, {"reference": reference, "amount": amount})

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Release the authorization unless it was captured or voided before. Raises the errors of `authorize`."""
        return self._act("void", key, {"reference": reference})

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Refund `amount` of the captured money, in parts or at once. Raises the errors of `authorize`."""
        return self._act("refund", key, {"reference": reference, "amount": amount})

    def lookup(
        self, key: str, reference: str = "", *, sent_at: datetime | None = None, cursor: str = ""
    ) -> GatewayAnswer | None:
        """Return the answer to the call with `key`, or None if it is unknown. Raises the errors of `authorize`."""
        status, body = ask("GET", f"/v1/answers/{quote(key, safe='')}")
        return None if status == 404 else read_answer(key, status, body)

    def read_ledger(self, since: datetime | None = None) -> Iterator[LedgerEntry]:
        """Yield all entries, or only entries from `since` on, oldest first.

        :raises GatewayUnavailable: the gateway does not return its ledger.
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

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> GatewayHint:
        """Return the content of a webhook.

        :raises BadHint: the webhook is too old, malformed, or not signed by the gateway.
        """
        check_signature(headers.get("Sandbox-Signature", ""), body, settings.PAYMENT_WEBHOOK_SECRETS, time.time())
        try:
            hint = msgspec.json.decode(body, type=dict[str, str])
            return GatewayHint(id=hint["id"], key=hint["key"])
        except (msgspec.DecodeError, KeyError) as error:
            raise BadHint(f"the webhook has a wrong shape: {error}") from error

    def _act(self, operation: str, key: str, parameters: dict[str, Any]) -> GatewayAnswer:
        status, body = ask("POST", f"/v1/{operation}", key, msgspec.json.encode(parameters))
        return read_answer(key, status, body)


def ask(method: str, path: str, key: str = "", body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request and return the status and the body of the answer.

    :raises GatewayUnavailable: no complete answer arrived within the timeouts.
    """
    headers = {"Authorization": f"Bearer {settings.SANDBOX_KEYS[0]}", "Idempotency-Key": key}
    pool = open_pool(settings.SANDBOX_URL)
    until = time.monotonic() + CALL_SECONDS - settings.GATEWAY_READ_SECONDS
    timeout = urllib3.Timeout(connect=settings.GATEWAY_CONNECT_SECONDS, read=settings.GATEWAY_READ_SECONDS)
    try:
        answer = pool.urlopen(method, path, body, headers, retries=False, timeout=timeout, preload_content=False)
        try:
            content = read_body(answer, until)
        finally:
            # On a reused connection the next call would read the remainder of this body as its own answer.
            answer.release_conn() if answer.length_remaining == 0 else answer.close()
    except urllib3.exceptions.HTTPError as error:
        raise GatewayUnavailable(str(error)) from error
    return answer.status, content


@lru_cache(maxsize=8)
def open_pool(url: str) -> urllib3.HTTPConnectionPool:
    """Return the connection pool of `url`."""
    return urllib3.connection_from_url(url, maxsize=CONNECTIONS)


def read_answer(key: str, status: int, body: bytes) -> GatewayAnswer:
    """Return the answer in `body`, which must name `key`: a connection may deliver the answer to another call.

    :raises GatewayFailed: `status` is 500 or more.
    :raises GatewayUnavailable: `status` is another one than 200.
    :raises MalformedAnswer: the body has a wrong shape or names another key.
    """
    if status != 200:
        text = f"the gateway answered {status}: {body.decode(errors='replace'):.200}"
        raise GatewayFailed(text) if status >= 500 else GatewayUnavailable(text)
    try:
        answer = msgspec.json.decode(body)
        named = answer.pop("key")
        known = msgspec.convert(answer, GatewayAnswer)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as error:
        raise MalformedAnswer(f"the answer has a wrong shape: {error}, received {body!r:.200}") from error
    if named != key:
        raise MalformedAnswer(f"the answer belongs to the key {named!r}, expected {key!r}")
    return known
