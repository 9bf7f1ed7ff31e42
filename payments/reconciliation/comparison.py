"""The comparison of payments with the gateway's ledger. Each difference is a sentence that names payment and order."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from payments.casebook import Finding, Kind
from payments.gateways.protocol import LedgerEntry, strip_attempt
from payments.models import Operation, Payment, Refund
from payments.reconciliation.ledger import (
    Scope,
    copy_ledger,
    make_scope,
    read_entries,
    read_foreign,
    read_payment_id,
    read_settled,
)

#: Payments of this many days are compared completely, older payments only if they changed since then. An
#: authorization lasts at most a week, and a refund fails within a month.
WINDOW_DAYS = 35
#: Maximum number of reported ledger entries without a payment.
MOST_FOREIGN = 1000


def find_money_in_flight() -> int:
    """Return the number of payments with an operation to do at the gateway. The comparison skips these payments."""
    return Payment.objects.exclude(wanted=Payment.Wanted.nothing).count()


@dataclass(frozen=True)
class Difference(Finding):
    """A difference to the ledger. `entry` is a refund at the gateway that the shop has not recorded."""

    entry: LedgerEntry | None = None


def find_money_differences() -> Iterator[str]:
    """Compare the settled payments of WINDOW_DAYS with the gateway's ledger and yield a sentence for each difference.

    A dispute is no difference.

    :raises GatewayUnavailable: the ledger can't be read.
    """
    for difference in find_differences(make_scope(WINDOW_DAYS, math.inf)):
        if difference.kind != Kind.disputed:
            yield difference.text


def find_differences(scope: Scope) -> Iterator[Difference]:
    """Yield the differences within `scope`.

    :raises GatewayUnavailable: the ledger can't be read and compared within the time of `scope`.
    """
    with copy_ledger(scope):
        yield from (
            Difference(Kind.unknown_entry, None, describe_foreign(entry)) for entry in read_foreign(MOST_FOREIGN)
        )
        for payments in read_settled(scope):
            yield from compare_all(payments, scope)


def compare_all(payments: Sequence[Payment], scope: Scope) -> Iterator[Difference]:
    """Yield the differences between `payments` and the copied ledger."""
    books: dict[UUID, list[LedgerEntry]] = defaultdict(list)
    for payment_id, entry in read_entries(payments):
        books[payment_id].append(entry)
    refunds: dict[UUID, list[Refund]] = defaultdict(list)
    for refund in Refund.objects.filter(payment__in=payments):
        refunds[refund.payment_id].append(refund)
    found = {p: list(compare(p, refunds[p.pk], books[p.pk], scope)) for p in payments}
    suspects = [payment for payment, differences in found.items() if differences]
    # A payment that has changed since it was read is in flight, not different.
    unmoved = set(Payment.objects.filter(pk__in=[p.pk for p in suspects]).values_list("pk", "updated_at"))
    for payment in suspects:
        if (payment.pk, payment.updated_at) in unmoved:
            yield from found[payment]


def describe_foreign(entry: LedgerEntry) -> str:
    """Return a sentence about a ledger entry that belongs to no payment."""
    payment_id = read_payment_id(entry)
    if payment_id is None:
        return f"the gateway's {describe(entry)} has the key {entry.idempotency_key!r}, which names no payment"
    return f"the gateway's {describe(entry)} belongs to payment {payment_id}, which does not exist"


def compare(
    payment: Payment, refunds: Sequence[Refund], entries: Sequence[LedgerEntry], scope: Scope
) -> Iterator[Difference]:
    """Yield the differences between a settled payment with its refunds and its ledger entries."""
    adopted = {refund.gateway_reference for refund in refunds if refund.gateway_reference}
    external = [entry for entry in entries if entry.external_id and entry.external_id not in adopted]
    for entry in external:
        yield from describe_external(payment, entry)
    own = [entry for entry in entries if entry not in external]
    for text in compare_own(payment, refunds, own, scope):
        yield Difference(Kind.differs, payment.pk, text)


def describe_external(payment: Payment, entry: LedgerEntry) -> Iterator[Difference]:
    """Yield a difference for a dispute, or for a successful refund, that the shop did not cause."""
    what = f"{entry.amount} {entry.currency} of payment {payment.pk} of order {payment.order_id}"
    if entry.operation == "dispute":
        text, detail = (
            f"{what} is disputed by its customer as {entry.external_id}",
            f": {entry.outcome}, {entry.reason}",
        )
        yield Difference(Kind.disputed, payment.pk, text, detail)
    elif entry.outcome == "approved":
        text = f"{what} was refunded at the gateway as {entry.external_id}, not by the shop"
        yield Difference(Kind.external_refund, payment.pk, text, entry=entry)


def compare_own(
    payment: Payment, refunds: Sequence[Refund], entries: Iterable[LedgerEntry], scope: Scope
) -> Iterator[str]:
    """Yield the differences between a settled payment with its refunds and the ledger entries that it should have.

    A declined entry may be missing: no money moved, and Stripe does not keep calls that it rejected as invalid. For a
    payment older than `scope` only the refunds created within `scope` are required.
    """
    who = f"payment {payment.pk} of order {payment.order_id} is {payment.status}, but"
    booked: dict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        booked[name_entry(entry)].append(entry)
    drop_refusals(payment, booked)
    expected = expected_entries(payment, refunds)
    for name, there in booked.items():
        if name not in expected:
            yield f"{who} the gateway has booked: {describe(there[0])}"
    for name, amount in expected.items():
        there = booked[name]
        if len(there) > 1 or (not there and must_be_seen(name, payment, refunds, scope)):
            yield f"{who} the gateway has {len(there)} entries for its {name}, not one"
        for entry in there:
            if (entry.amount, entry.currency) != (amount, payment.currency):
                yield f"{who} over {amount} {payment.currency}; the gateway has booked: {describe(entry)}"
            if payment.gateway_reference != entry.reference:
                yield (
                    f"{who} under reference {payment.gateway_reference!r}; the gateway has booked: {describe(entry)}"
                    f" under {entry.reference!r}"
                )
    yield from compare_sums(payment, refunds, booked, who)


def drop_refusals(payment: Payment, booked: dict[str, list[LedgerEntry]]) -> None:
    """Remove from `booked` refused captures and voids, and the end of an authorization that the gateway ended itself.

    No money moved or is held then. A declined payment, or one that was voided without a call, had no authorization for
    the shop. A failed payment keeps its authorization.
    """
    for refused in ("declined capture", "declined void"):
        booked.pop(refused, None)
    if payment.status == Payment.Status.failed:
        booked.pop("void", None)
    ended = [payment.gateway_reference, len(booked.get("authorize", [])), len(booked.get("void", []))] == ["", 1, 1]
    if ended and payment.status in (Payment.Status.declined, Payment.Status.voided):
        del booked["authorize"], booked["void"]


def must_be_seen(name: str, payment: Payment, refunds: Sequence[Refund], scope: Scope) -> bool:
    """Return whether the ledger of `scope` must contain the payment's entry `name`."""
    if name.startswith("declined "):
        return False
    if scope.since is None or payment.pk >= scope.first_id:
        return True
    return any(name == name_refund(refund) and refund.created_at >= scope.since for refund in refunds)


def compare_sums(
    payment: Payment, refunds: Sequence[Refund], booked: Mapping[str, Sequence[LedgerEntry]], who: str
) -> Iterator[str]:
    """Yield sums that contradict each other, in the ledger or among the payment's own amounts.

    A capture cannot exceed the authorization, and refunds cannot exceed the capture.
    """
    sums: dict[str, int] = defaultdict(int)
    for entries in booked.values():
        for entry in entries:
            sums[entry.operation] += entry.amount if entry.outcome == "approved" else 0
    if sums["authorize"] and sums["capture"] > sums["authorize"]:
        yield f"{who} {sums['capture']} is captured of {sums['authorize']} authorized"
    if sums["capture"] and sums["refund"] > sums["capture"]:
        yield f"{who} {sums['refund']} is refunded of {sums['capture']} captured"
    done = sum(refund.amount for refund in refunds if refund.status == Refund.Status.done)
    if payment.refunded_amount != done:
        yield f"{who} {payment.refunded_amount} is refunded, while its refunds add up to {done}"
    taken = payment.status in (Payment.Status.captured, Payment.Status.refunded)
    if payment.captured_amount != (payment.amount if taken else 0):
        yield f"{who} {payment.captured_amount} is captured of {payment.amount}"
    if (payment.status == Payment.Status.refunded) != (0 < payment.captured_amount == done):
        yield f"{who} {done} is refunded of {payment.captured_amount} captured"


def name_entry(entry: LedgerEntry) -> str:
    """Return ``authorize``, ``capture``, ``void`` or ``refund <number>``, with its outcome in front if not approved.

    A refund that the shop did not request has its id at the gateway as its number.
    """
    name = entry.operation
    if name == Operation.refund:
        name = f"refund {entry.external_id or strip_attempt(entry.idempotency_key).rpartition(':')[2]}"
    return name if entry.outcome == "approved" else f"{entry.outcome} {name}"


def name_refund(refund: Refund) -> str:
    """Return the name of the refund's approved ledger entry."""
    return f"refund {refund.gateway_reference or refund.number}"


def expected_entries(payment: Payment, refunds: Sequence[Refund]) -> dict[str, int]:
    """Return the entries that the ledger must contain for a settled payment, each exactly once: name -> amount."""
    held = ["authorize"] if payment.gateway_reference else []
    names = {
        Payment.Status.declined: ["declined authorize"],
        Payment.Status.voided: [*held, *("void" for _ in held)],
        Payment.Status.captured: ["authorize", "capture"],
        Payment.Status.refunded: ["authorize", "capture"],
    }.get(Payment.Status(payment.status), ["authorize"])
    expected = dict.fromkeys(names, payment.amount)
    for refund in refunds:
        declined = "declined " if refund.status == Refund.Status.declined else ""
        expected[f"{declined}{name_refund(refund)}"] = refund.amount
    return expected


def describe(entry: LedgerEntry) -> str:
    """Return a short description of `entry`, for example "approved capture of 5000 EUR"."""
    return f"{entry.outcome} {entry.operation} of {entry.amount} {entry.currency}"
