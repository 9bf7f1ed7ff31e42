"""The meaning of Stripe's objects: answers to calls and entries of the ledger. Every known status is named here."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from payments.gateways.protocol import GatewayAnswer, LedgerEntry, MalformedAnswer, Outcome

#: The statuses of an intent that needs its customer. A shop without the customer cannot continue them.
NEEDS_CUSTOMER = ("requires_payment_method", "requires_action", "requires_confirmation")
INTENT_STATUSES = (*NEEDS_CUSTOMER, "processing", "requires_capture", "canceled", "succeeded")


def read_key(result: Any) -> str:
    """Return the idempotency key in the metadata of a Stripe object, or "" if it has none."""
    return str(getattr(getattr(result, "metadata", None), "key", ""))


def check_status(intent: Any) -> str:
    """Return the status of an intent.

    :raises MalformedAnswer: the status is unknown.
    """
    if intent.status not in INTENT_STATUSES:
        raise MalformedAnswer(f"Stripe's intent {intent.id} has the unknown status {intent.status!r}: look at it there")
    return str(intent.status)


def read_authorization(intent: Any) -> GatewayAnswer:
    """Return the answer of an authorization: approved, declined or pending.

    A cancelled intent holds no money: it has expired, or a person cancelled it at Stripe.

    :raises MalformedAnswer: the intent's status is unknown.
    """
    match check_status(intent):
        case "requires_capture" | "succeeded":
            return answer("approved", intent, intent.id)
        case "processing":
            return answer("pending", intent, intent.id, "processing")
        case "canceled":
            return answer("declined", intent, "", describe_cancellation(intent))
        case status:
            problem = getattr(intent, "last_payment_error", None)
            return answer("declined", intent, "", str((getattr(problem, "code", None) if problem else None) or status))


def read_capture(intent: Any) -> GatewayAnswer | None:
    """Return the answer of a capture, or None if the intent still waits for its capture.

    :raises MalformedAnswer: no capture leads to the intent's status.
    """
    match check_status(intent):
        case "succeeded":
            return answer("approved", intent, intent.id, amount=read_captured(intent))
        case "processing":
            return answer("pending", intent, intent.id, "processing")
        case "canceled":
            return answer("declined", intent, intent.id, describe_cancellation(intent))
        case "requires_capture":
            return None
        case status:
            raise MalformedAnswer(f"Stripe's intent {intent.id} is {status} after its authorization: look at it there")


def read_void(intent: Any) -> GatewayAnswer | None:
    """Return the answer of a void, or None if the intent is not cancelled.

    :raises MalformedAnswer: the intent's status is unknown.
    """
    return answer("approved", intent, intent.id) if check_status(intent) == "canceled" else None


def read_refund(refund: Any, reference: str) -> GatewayAnswer:
    """Return the answer of a refund: approved, declined or pending."""
    if refund.status in ("failed", "canceled"):
        return answer("declined", refund, reference, str(getattr(refund, "failure_reason", None) or refund.status))
    if refund.status == "succeeded":
        return answer("approved", refund, reference)
    return answer("pending", refund, reference, str(refund.status))


def answer(outcome: Outcome, result: Any, reference: str, reason: str = "", amount: int | None = None) -> GatewayAnswer:
    """Return an answer with the currency and, unless `amount` is given, the amount of the Stripe object `result`."""
    return GatewayAnswer(
        outcome=outcome,
        reference=reference,
        amount=result.amount if amount is None else amount,
        currency=result.currency.upper(),
        reason=reason,
    )


def describe_cancellation(intent: Any) -> str:
    """Return the reason why an intent was cancelled."""
    return f"cancelled at Stripe: {getattr(intent, 'cancellation_reason', None) or 'no reason given'}"


def read_captured(intent: Any) -> int:
    """Return the captured amount in minor units."""
    return int(getattr(intent, "amount_received", None) or intent.amount)


def read_intent_entries(intent: Any, key: str) -> Iterator[LedgerEntry]:
    """Yield the ledger entries of an intent: its authorization, then its capture or void if there is one."""
    payment = key.partition(":")[0]
    if intent.status not in INTENT_STATUSES:
        unknown = answer("pending", intent, intent.id, f"unknown status {intent.status}")
        yield make_entry(key, "authorize", unknown, intent.created)
        return
    was_held = getattr(intent, "latest_charge", True) and not getattr(intent, "last_payment_error", None)
    if intent.status == "canceled" and was_held:
        yield make_entry(key, "authorize", answer("approved", intent, intent.id), intent.created)
        yield make_entry(f"{payment}:void", "void", answer("approved", intent, intent.id), intent.created)
        return
    yield make_entry(key, "authorize", read_authorization(intent), intent.created)
    if intent.status == "succeeded":
        captured = answer("approved", intent, intent.id, amount=read_captured(intent))
        yield make_entry(f"{payment}:capture", "capture", captured, intent.created)


def read_refund_entry(refund: Any) -> LedgerEntry:
    """Return the ledger entry of a refund. A refund without the shop's key comes from Stripe itself."""
    key, reference = read_key(refund), str(getattr(refund, "payment_intent", None) or "")
    entry = make_entry(key, "refund", read_refund(refund, reference), refund.created)
    return entry if key else make_external(entry, refund)


def read_dispute_entry(dispute: Any) -> LedgerEntry:
    """Return the ledger entry of a dispute. Its outcome is the dispute's status at Stripe."""
    reference = str(getattr(dispute, "payment_intent", None) or "")
    reported = answer("pending", dispute, reference, str(getattr(dispute, "reason", None) or ""))
    entry = make_entry("", "dispute", reported, dispute.created)
    return make_external(entry, dispute, outcome=str(dispute.status))


def make_external(entry: LedgerEntry, result: Any, outcome: str = "") -> LedgerEntry:
    """Return `entry` as an entry that the shop did not cause, under the id of the Stripe object `result`."""
    return msgspec.structs.replace(entry, external_id=str(result.id), outcome=outcome or entry.outcome)


def make_entry(key: str, operation: str, reported: GatewayAnswer, created: int) -> LedgerEntry:
    """Return a ledger entry. `created` is in seconds since 1970."""
    return LedgerEntry(
        idempotency_key=key,
        operation=operation,
        reference=reported.reference,
        amount=reported.amount,
        currency=reported.currency,
        outcome=reported.outcome,
        reason=reported.reason,
        created_at=datetime.fromtimestamp(created, UTC),
    )
