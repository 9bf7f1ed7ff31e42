"""Do the payments and the gateway's books say the same? Each difference is a sentence that names payment and order."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from uuid import UUID

from payments.gateway import LedgerEntry, load_gateway
from payments.models import Payment

Books = dict[UUID, list[LedgerEntry]]


def find_money_in_flight() -> int:
    """Count the payments that still want something of the gateway; they are not compared."""
    return Payment.objects.exclude(wanted=Payment.Wanted.nothing).count()


def find_money_differences() -> Iterator[str]:
    """Compare every settled payment with the gateway's books, and the books with the payments.

    :raises GatewayUnavailable: the books can't be read.
    """
    settled = list(Payment.objects.filter(wanted=Payment.Wanted.nothing).iterator(chunk_size=2000))
    books: Books = defaultdict(list)
    for entry in load_gateway().read_ledger():
        payment_id = read_payment_id(entry)
        if payment_id is None:
            yield f"the gateway's {describe(entry)} carries the key {entry.idempotency_key!r}, which is no payment's"
        else:
            books[payment_id].append(entry)
    yield from find_unknown_entries(books, {payment.pk for payment in settled})
    suspects = [payment for payment in settled if list(compare(payment, books[payment.pk]))]
    # One that moved on while the books were being read is in flight, not different.
    unmoved = set(Payment.objects.filter(pk__in=[p.pk for p in suspects]).values_list("pk", "updated_at"))
    for payment in suspects:
        if (payment.pk, payment.updated_at) in unmoved:
            yield from compare(payment, books[payment.pk])


def read_payment_id(entry: LedgerEntry) -> UUID | None:
    """Return the payment that an idempotency key such as ``<payment id>:capture`` belongs to."""
    try:
        return UUID(entry.idempotency_key.partition(":")[0])
    except ValueError:
        return None


def find_unknown_entries(books: Books, settled: set[UUID]) -> Iterator[str]:
    """Name what the gateway booked for payments that do not exist."""
    unsettled = [payment_id for payment_id in books if payment_id not in settled]
    known = set(Payment.objects.filter(pk__in=unsettled).values_list("pk", flat=True))
    for payment_id in unsettled:
        if payment_id not in known:
            for entry in books[payment_id]:
                yield f"the gateway's {describe(entry)} belongs to payment {payment_id}, which does not exist"


def compare(payment: Payment, entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Name where a settled payment and the gateway's entries under its keys differ."""
    who = f"payment {payment.pk} of order {payment.order_id} is {payment.status}, but"
    booked: dict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        booked[entry.operation if entry.outcome == "approved" else f"declined {entry.operation}"].append(entry)
    for operation, there in booked.items():
        if operation not in expected_entries(payment):
            yield f"{who} the gateway has booked: {describe(there[0])}"
    for operation in expected_entries(payment):
        there = booked[operation]
        if len(there) != 1:
            yield f"{who} the gateway has {len(there)} entries for its {operation}, not one"
        for entry in there:
            if (entry.amount, entry.currency) != (payment.amount, payment.currency):
                yield f"{who} over {payment.amount} {payment.currency}; the gateway has booked: {describe(entry)}"
            if payment.gateway_reference != entry.reference:
                yield (
                    f"{who} under reference {payment.gateway_reference!r}; the gateway has booked: {describe(entry)}"
                    f" under {entry.reference!r}"
                )
    authorized, captured = (sum(entry.amount for entry in booked[name]) for name in ("authorize", "capture"))
    if captured > authorized:
        yield f"{who} {captured} is captured of {authorized} authorized"


def expected_entries(payment: Payment) -> list[str]:
    """Say which entries the books must hold for a settled payment, each exactly once, and no others."""
    match payment.status:
        case Payment.Status.declined:
            return ["declined authorize"]
        case Payment.Status.authorized:
            return ["authorize"]
        case Payment.Status.captured:
            return ["authorize", "capture"]
        case _:
            return ["authorize", "void"] if payment.gateway_reference else []


def describe(entry: LedgerEntry) -> str:
    """Say in words what the entry is."""
    return f"{entry.outcome} {entry.operation} of {entry.amount} {entry.currency}"
