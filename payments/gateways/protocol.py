"""The protocol of a payment gateway, and the check of its answers."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, Protocol, cast

import msgspec
from django.conf import settings
from django.utils.module_loading import import_string

#: Upper limit for one call to the gateway, in seconds. Claims are long enough for a lookup and a call.
CALL_SECONDS = 10
#: Separates an idempotency key from the number of its attempt, which is omitted for the first attempt.
ATTEMPT_MARK = "~"
#: Maximum length of a reference in characters, equal to the length of Payment.gateway_reference.
MOST_REFERENCE = 100
#: A refund can be pending for days, until the bank accepts or rejects it.
Outcome = Literal["approved", "declined", "pending"]


class GatewayUnavailable(Exception):
    """The gateway gave no usable answer. It may or may not have carried out the call."""


class GatewayFailed(GatewayUnavailable):
    """The gateway answered with an error of its own (5xx). It may repeat this answer for the key for a day."""


class SearchUnfinished(GatewayUnavailable):
    """A lookup reached its limit of time or requests. The next lookup continues at `cursor`."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"the lookup continues after {cursor}")
        self.cursor = cursor


class MalformedAnswer(Exception):
    """The gateway's answer cannot belong to this call. The message names the wrong value."""


class BadHint(Exception):
    """A webhook is too old, malformed, or not signed by the gateway. The message names the reason."""


class GatewayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's answer to one call. `reference` names the authorization; `amount` is in minor units."""

    outcome: Outcome
    reference: str
    amount: int
    currency: str
    reason: str = ""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the gateway's ledger. `amount` is in minor units of `currency`.

    A refund or dispute that the shop did not cause has an `external_id`, its id at the gateway, and `idempotency_key`
    names no payment. `reference` then names the authorization.
    """

    idempotency_key: str
    operation: str
    reference: str
    amount: int
    currency: str
    outcome: str
    reason: str
    created_at: datetime
    external_id: str = ""


class GatewayHint(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a webhook: its own id, and the idempotency key of the call that it is about ("" for none).

    `is_external` is true if the shop did not cause the event, for example a dispute. `refunded` is the refunded amount
    that the webhook names, in minor units.
    """

    id: str
    key: str
    is_external: bool = False
    refunded: int | None = None


# Create the decoders at import: msgspec crashes the process when two threads create the same one at the same time.
for _struct in (GatewayAnswer, LedgerEntry):
    msgspec.json.Decoder(_struct)


class Gateway(Protocol):
    """A payment gateway. A repeated idempotency key gets the same answer again and moves no money.

    Many threads call one gateway at the same time. Every call returns within CALL_SECONDS or raises
    GatewayUnavailable. Amounts are in minor units.
    """

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount` on the card that `token` represents."""

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Capture `amount` of the authorization `reference`."""

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Release the whole authorization `reference`."""

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Refund `amount` of the captured authorization `reference`."""

    def lookup(
        self, key: str, reference: str, *, sent_at: datetime | None = None, cursor: str = ""
    ) -> GatewayAnswer | None:
        """Return the answer to an earlier call, or None if the gateway knows no call with `key` or its earlier keys.

        `reference` is the authorization that the call was about, "" if the call was an authorization. The last request
        with the key was sent at `sent_at`. `cursor` continues an unfinished lookup.

        :raises SearchUnfinished: the lookup needs another call.
        """

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> GatewayHint:
        """Return the content of a webhook.

        :raises BadHint: the webhook is too old, malformed, or not signed by the gateway.
        """

    def read_ledger(self, since: datetime | None) -> Iterator[LedgerEntry]:
        """Yield the entries of the gateway's ledger in any order.

        With `since` a gateway may omit older entries, and the capture or void of an older authorization.

        :raises GatewayUnavailable: the gateway does not return its ledger.
        """


def strip_attempt(key: str) -> str:
    """Return `key` without the number of its attempt: all attempts of an operation have this part in common."""
    return key.partition(ATTEMPT_MARK)[0]


def load_gateway() -> Gateway:
    """Return a client of the gateway that settings.PAYMENT_GATEWAY names."""
    return cast(Gateway, import_string(settings.PAYMENT_GATEWAY)())


def check_answer(answer: object, *, reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return `answer` as a GatewayAnswer if it fits the call.

    `reference` is the authorization that the call was about, "" if the call was an authorization.

    :raises MalformedAnswer: the answer has a wrong shape, amount, currency or reference.
    """
    try:
        checked = msgspec.convert(answer, GatewayAnswer, from_attributes=True)
    except msgspec.ValidationError as error:
        raise MalformedAnswer(f"the answer has a wrong shape: {error}, received {answer!r:.200}") from error
    if checked.amount != amount:
        raise MalformedAnswer(f"the answer has the amount {checked.amount}, expected {amount}")
    if checked.currency != currency:
        raise MalformedAnswer(f"the answer has the currency {checked.currency!r}, expected {currency!r}")
    if len(checked.reference) > MOST_REFERENCE or "\0" in checked.reference + checked.reason:
        # PostgreSQL would reject this text, and with it the results of the whole batch.
        raise MalformedAnswer(f"the answer's text can't be stored: {checked.reference + checked.reason!r:.200}")
    if checked.outcome == "approved" and not checked.reference:
        raise MalformedAnswer("the answer is approved, but its reference is empty")
    if reference and checked.reference != reference:
        raise MalformedAnswer(f"the answer has the reference {checked.reference!r}, expected {reference!r}")
    return checked
