"""What a payment gateway must do, and what an answer must look like before it is believed."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, Protocol, cast

import msgspec
from django.conf import settings
from django.utils.module_loading import import_string

#: How long the gateway may take for an answer.
CALL_SECONDS = 10
#: How many characters a reference may have: as many as Payment.gateway_reference.
MOST_REFERENCE = 100
#: A refund may be pending for days, until the bank has taken it or sent it back.
Outcome = Literal["approved", "declined", "pending"]


class GatewayUnavailable(Exception):
    """The gateway gave no answer. Whether it did what it was asked is unknown."""


class MalformedAnswer(Exception):
    """The gateway's answer is not one that could be meant for this call; the message names the wrong value."""


class BadHint(Exception):
    """A webhook that the gateway has not sent, or not now; the message says why."""


class GatewayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway did. `reference` names the authorization; `amount` is in minor units of `currency`."""

    outcome: Outcome
    reference: str
    amount: int
    currency: str
    reason: str = ""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the gateway's own books."""

    idempotency_key: str
    operation: str
    reference: str
    amount: int
    currency: str
    outcome: str
    reason: str
    created_at: datetime


# Made here, once: msgspec crashes the process when threads make it at the same moment.
for _struct in (GatewayAnswer, LedgerEntry):
    msgspec.json.Decoder(_struct)


class Gateway(Protocol):
    """A payment gateway. A key that it has seen before gets the same answer again and moves no money.

    Many threads call it at once. Every call returns within CALL_SECONDS or raises GatewayUnavailable.
    """

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount` on the card behind `token`."""

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Take `amount` of what is held under `reference`."""

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Give back everything that is held under `reference`."""

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Give back `amount` of what was captured under `reference`."""

    def lookup(self, key: str, reference: str) -> GatewayAnswer | None:
        """Return the answer that was given under `key`, about `reference` ("" for an authorization), None for none."""

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """Return a webhook's own id and the idempotency key that it is about ("" for none), or raise BadHint."""

    def read_ledger(self, since: datetime | None) -> Iterator[LedgerEntry]:
        """Yield what the gateway has booked, in any order, or raise GatewayUnavailable.

        With `since` it may leave out what it booked before then, and how an authorization of before then ended.
        """


def load_gateway() -> Gateway:
    """Return the gateway that settings.PAYMENT_GATEWAY names."""
    return cast(Gateway, import_string(settings.PAYMENT_GATEWAY)())


def check_answer(answer: object, *, reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return `answer` if it can belong to a call about `amount` of `currency` under `reference` ("" when new).

    :raises MalformedAnswer: it has another shape, amount, currency or reference; the message holds the value.
    """
    try:
        checked = msgspec.convert(answer, GatewayAnswer, from_attributes=True)
    except msgspec.ValidationError as error:
        raise MalformedAnswer(f"the answer has a wrong shape: {error}, got {answer!r:.200}") from error
    if checked.amount != amount:
        raise MalformedAnswer(f"the answer is about an amount of {checked.amount}, asked was {amount}")
    if checked.currency != currency:
        raise MalformedAnswer(f"the answer is in currency {checked.currency!r}, asked was {currency!r}")
    if len(checked.reference) > MOST_REFERENCE or "\0" in checked.reference + checked.reason:
        # PostgreSQL could not store it, nor what the other calls of the batch were answered.
        raise MalformedAnswer(f"the answer's words can't be stored: {checked.reference + checked.reason!r:.200}")
    if checked.outcome == "approved" and not checked.reference:
        raise MalformedAnswer("the answer is approved, but its reference is empty")
    if reference and checked.reference != reference:
        raise MalformedAnswer(f"the answer is about reference {checked.reference!r}, asked was {reference!r}")
    return checked
