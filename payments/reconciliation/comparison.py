"""Do the payments and the gateway's books say the same? Each difference is a sentence that names payment and order."""

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

#: Payments of so many days are compared in whole, of older ones what moved since. An authorization lasts a week at
#: most, and a refund fails within a month.
WINDOW_DAYS = 35
#: More entries of no payment than anybody reads are not told.
MOST_FOREIGN = 1000


def find_money_in_flight() -> int:
    """Count the payments that still want something of the gateway; they are not compared."""
    return Payment.objects.exclude(wanted=Payment.Wanted.nothing).count()


@dataclass(frozen=True)
class Difference:
    """What differs, as a sentence, and the payment that it is about if there is one."""

    payment_id: UUID | None
    text: str


def find_money_differences() -> Iterator[str]:
    """Compare the settled payments of WINDOW_DAYS with the gateway's books, and the books with the payments.

    :raises GatewayUnavailable: the books can't be read.
    """
    yield from (difference.text for difference in find_differences(make_scope(WINDOW_DAYS, math.inf)))


def find_differences(scope: Scope) -> Iterator[Difference]:
    """Yield what `find_money_differences` tells, each with its payment.

    :raises GatewayUnavailable: the books can't be read, or not in time.
    """
    with copy_ledger(scope):
        yield from (Difference(None, describe_foreign(entry)) for entry in read_foreign(MOST_FOREIGN))
        for payments in read_settled(scope):
            yield from compare_all(payments, scope)


def compare_all(payments: Sequence[Payment], scope: Scope) -> Iterator[Difference]:
    """Compare `payments` with the copied ledger."""
    books: dict[UUID, list[LedgerEntry]] = defaultdict(list)
    for payment_id, entry in read_entries(payments):
        books[payment_id].append(entry)
    refunds: dict[UUID, list[Refund]] = defaultdict(list)
    for refund in Refund.objects.filter(payment__in=payments):
        refunds[refund.payment_id].append(refund)
    found = {p: list(compare(p, refunds[p.pk], books[p.pk], scope)) for p in payments}
    suspects = [payment for payment, texts in found.items() if texts]
    # One that moved on meanwhile is in flight, not different.
    unmoved = set(Payment.objects.filter(pk__in=[p.pk for p in suspects]).values_list("pk", "updated_at"))
    for payment in suspects:
        if (payment.pk, payment.updated_at) in unmoved:
            yield from (Difference(payment.pk, text) for text in found[payment])


def describe_foreign(entry: LedgerEntry) -> str:
    """Say of an entry that it belongs to no payment."""
    payment_id = read_payment_id(entry)
    if payment_id is None:
        return f"the gateway's {describe(entry)} carries the key {entry.idempotency_key!r}, which is no payment's"
    return f"the gateway's {describe(entry)} belongs to payment {payment_id}, which does not exist"


def compare(payment: Payment, refunds: Sequence[Refund], entries: Iterable[LedgerEntry], scope: Scope) -> Iterator[str]:
    """Name where a settled payment with its refunds and the gateway's entries under its keys differ.

    A refusal may be missing, because no money moved: Stripe keeps none of what it found wrong. Of a payment that is
    older than the scope everything may be missing but the refunds made since.
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
    """Tell whether the ledger of the scope must hold the payment's entry `name`."""
    if name.startswith("declined "):
        return False
    if scope.since is None or payment.pk >= scope.first_id:
        return True
    return any(name == f"refund {refund.number}" and refund.created_at >= scope.since for refund in refunds)


def compare_sums(
    payment: Payment, refunds: Sequence[Refund], booked: Mapping[str, Sequence[LedgerEntry]], who: str
) -> Iterator[str]:
    """Name sums that can't be: more taken than held, more given back than taken, or other sums in our own books."""
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
        yield f"{who} {payment.refunded_amount} is refunded, its refunds add up to {done}"
    taken = payment.status in (Payment.Status.captured, Payment.Status.refunded)
    if payment.captured_amount != (payment.amount if taken else 0):
        yield f"{who} {payment.captured_amount} is captured of {payment.amount}"
    if (payment.status == Payment.Status.refunded) != (0 < payment.captured_amount == done):
        yield f"{who} {done} is refunded of {payment.captured_amount} captured"


def name_entry(entry: LedgerEntry) -> str:
    """Return ``authorize``, ``capture``, ``void`` or ``refund <number>``, after its outcome if that is not approved."""
    name = entry.operation
    if name == Operation.refund:
        name = f"refund {entry.idempotency_key.rpartition(':')[2]}"
    return name if entry.outcome == "approved" else f"{entry.outcome} {name}"


def expected_entries(payment: Payment, refunds: Sequence[Refund]) -> dict[str, int]:
    """Say which entries the books must hold for a settled payment, each exactly once, and no others: name -> amount."""
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
    """Say in words what the entry is."""
    return f"{entry.outcome} {entry.operation} of {entry.amount} {entry.currency}"
