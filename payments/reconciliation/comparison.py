"""The comparison of payments with the gateway's ledger. Each difference is a sentence that names payment and order."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from payments.gateways.protocol import LedgerEntry
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
class Difference:
    """A difference as a sentence, with the id of its payment if there is one."""

    payment_id: UUID | None
    text: str


def find_money_differences() -> Iterator[str]:
    """Compare the settled payments of WINDOW_DAYS with the gateway's ledger and yield a sentence for each difference.

    :raises GatewayUnavailable: the ledger can't be read.
    """
    yield from (difference.text for difference in find_differences(make_scope(WINDOW_DAYS, math.inf)))


def find_differences(scope: Scope) -> Iterator[Difference]:
    """Yield the differences within `scope`.

    :raises GatewayUnavailable: the ledger can't be read and compared within the time of `scope`.
    """
    with copy_ledger(scope):
        yield from (Difference(None, describe_foreign(entry)) for entry in read_foreign(MOST_FOREIGN))
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
    suspects = [payment for payment, texts in found.items() if texts]
    # A payment that has changed since it was read is in flight, not different.
    unmoved = set(Payment.objects.filter(pk__in=[p.pk for p in suspects]).values_list("pk", "updated_at"))
    for payment in suspects:
        if (payment.pk, payment.updated_at) in unmoved:
            yield from (Difference(payment.pk, text) for text in found[payment])


def describe_foreign(entry: LedgerEntry) -> str:
    """Return a sentence about a ledger entry that belongs to no payment."""
    payment_id = read_payment_id(entry)
    if payment_id is None:
        return f"the gateway's {describe(entry)} has the key {entry.idempotency_key!r}, which names no payment"
    return f"the gateway's {describe(entry)} belongs to payment {payment_id}, which does not exist"


def compare(payment: Payment, refunds: Sequence[Refund], entries: Iterable[LedgerEntry], scope: Scope) -> Iterator[str]:
    """Yield the differences between a settled payment with its refunds and the ledger entries of its keys.

    A declined entry may be missing: no money moved, and Stripe does not keep calls that it rejected as invalid. For a
    payment older than `scope` only the refunds created within `scope` are required.
    """
    who = f"payment {payment.pk} of order {payment.order_id} is {payment.status}, but"
    booked: dict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        booked[name_entry(entry)].append(entry)
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


def must_be_seen(name: str, payment: Payment, refunds: Sequence[Refund], scope: Scope) -> bool:
    """Return whether the ledger of `scope` must contain the payment's entry `name`."""
    if name.startswith("declined "):
        return False
    if scope.since is None or payment.pk >= scope.first_id:
        return True
    return any(name == f"refund {refund.number}" and refund.created_at >= scope.since for refund in refunds)


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
    """Return ``authorize``, ``capture``, ``void`` or ``refund <number>``, with its outcome in front if not approved."""
    name = entry.operation
    if name == Operation.refund:
        name = f"refund {entry.idempotency_key.rpartition(':')[2]}"
    return name if entry.outcome == "approved" else f"{entry.outcome} {name}"


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
        expected[f"{declined}refund {refund.number}"] = refund.amount
    return expected


def describe(entry: LedgerEntry) -> str:
    """Return a short description of `entry`, for example "approved capture of 5000 EUR"."""
    return f"{entry.outcome} {entry.operation} of {entry.amount} {entry.currency}"
