"""Do the payments and the gateway's books say the same? Each difference is a sentence that names payment and order."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from payments.gateway import LedgerEntry, load_gateway
from payments.models import Operation, Payment, Refund

Books = dict[UUID, list[LedgerEntry]]


def find_money_in_flight() -> int:
    """Count the payments that still want something of the gateway; they are not compared."""
    return Payment.objects.exclude(wanted=Payment.Wanted.nothing).count()


@dataclass(frozen=True)
class Difference:
    """What differs, as a sentence, and the payment that it is about if there is one."""

    payment_id: UUID | None
    text: str


def find_money_differences() -> Iterator[str]:
    """Compare every settled payment with the gateway's books, and the books with the payments.

    :raises GatewayUnavailable: the books can't be read.
    """
    yield from (difference.text for difference in find_differences())


def find_differences() -> Iterator[Difference]:
    """Yield what `find_money_differences` tells, each with its payment. Raises as that does."""
    settled = list(Payment.objects.filter(wanted=Payment.Wanted.nothing).iterator(chunk_size=2000))
    books: Books = defaultdict(list)
    for entry in load_gateway().read_ledger():
        payment_id = read_payment_id(entry)
        if payment_id is None:
            text = f"the gateway's {describe(entry)} carries the key {entry.idempotency_key!r}, which is no payment's"
            yield Difference(None, text)
        else:
            books[payment_id].append(entry)
    yield from find_unknown_entries(books, {payment.pk for payment in settled})
    refunds: dict[UUID, list[Refund]] = defaultdict(list)
    for refund in Refund.objects.filter(payment__wanted=Payment.Wanted.nothing).iterator(chunk_size=2000):
        refunds[refund.payment_id].append(refund)
    suspects = [p for p in settled if list(compare(p, refunds[p.pk], books[p.pk]))]
    # One that moved on while the books were being read is in flight, not different.
    unmoved = set(Payment.objects.filter(pk__in=[p.pk for p in suspects]).values_list("pk", "updated_at"))
    for payment in suspects:
        if (payment.pk, payment.updated_at) in unmoved:
            for text in compare(payment, refunds[payment.pk], books[payment.pk]):
                yield Difference(payment.pk, text)


def read_payment_id(entry: LedgerEntry) -> UUID | None:
    """Return the payment that an idempotency key such as ``<payment id>:capture`` belongs to."""
    try:
        return UUID(entry.idempotency_key.partition(":")[0])
    except ValueError:
        return None


def find_unknown_entries(books: Books, settled: set[UUID]) -> Iterator[Difference]:
    """Name what the gateway booked for payments that do not exist."""
    unsettled = [payment_id for payment_id in books if payment_id not in settled]
    known = set(Payment.objects.filter(pk__in=unsettled).values_list("pk", flat=True))
    for payment_id in unsettled:
        if payment_id not in known:
            for entry in books[payment_id]:
                text = f"the gateway's {describe(entry)} belongs to payment {payment_id}, which does not exist"
                yield Difference(None, text)


def compare(payment: Payment, refunds: Sequence[Refund], entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Name where a settled payment with its refunds and the gateway's entries under its keys differ."""
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
        if len(there) != 1:
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


def compare_sums(
    payment: Payment, refunds: Sequence[Refund], booked: Mapping[str, Sequence[LedgerEntry]], who: str
) -> Iterator[str]:
    """Name sums that can't be: more taken than held, more given back than taken, or other sums in our own books."""
    sums: dict[str, int] = defaultdict(int)
    for entries in booked.values():
        for entry in entries:
            sums[entry.operation] += entry.amount if entry.outcome == "approved" else 0
    if sums["capture"] > sums["authorize"]:
        yield f"{who} {sums['capture']} is captured of {sums['authorize']} authorized"
    if sums["refund"] > sums["capture"]:
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
    """Return ``authorize``, ``capture``, ``void`` or ``refund <number>``, with ``declined`` before it if it was."""
    name = entry.operation
    if name == Operation.refund:
        name = f"refund {entry.idempotency_key.rpartition(':')[2]}"
    return name if entry.outcome == "approved" else f"declined {name}"


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
