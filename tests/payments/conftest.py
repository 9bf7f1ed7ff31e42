"""Fixtures for payments: a payment in several states, the gateway's ledger, and a doorbell that only records rings."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from payments.gateways.protocol import LedgerEntry
from payments.gateways.sandbox import SandboxGateway
from payments.handlers import follow_orders
from payments.models import Payment
from payments.sandbox.books import open_books
from payments.tasks import settle_payments
from relay.models import Outbox
from shop.events import OrderCancelled, OrderConfirmed, OrderedLine, OrderPlaced
from shop.vault.models import PaymentToken

PlacePayment = Callable[..., Payment]
ReadBooks = Callable[[], list[tuple[str, str, int]]]


@pytest.fixture(autouse=True)
def rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the rung tasks. No ring reaches a broker unless the test uses `real_doorbell`."""
    names: list[str] = []
    if "real_doorbell" not in request.fixturenames:
        monkeypatch.setattr(
            "shop.workqueue.doorbell._ring_now", lambda task: names.append(task.name.rpartition(".")[2])
        )
    return names


@pytest.fixture
def real_doorbell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test send real rings, with the doorbell's state reset."""
    monkeypatch.setattr("shop.workqueue.doorbell._quiet_until", 0.0)
    monkeypatch.setattr("shop.workqueue.doorbell._rung_at", {})


@pytest.fixture
def books(request: pytest.FixtureRequest) -> ReadBooks:
    """Empty the gateway's ledger and return a function that reads (operation, outcome, amount) of each entry."""
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    with open_books() as connection:
        connection.execute("truncate sandbox_gateway.ledger")
    return lambda: [(entry.operation, entry.outcome, entry.amount) for entry in read_entries()]


def read_entries() -> list[LedgerEntry]:
    return list(SandboxGateway().read_ledger())


@pytest.fixture
def place(books: ReadBooks) -> PlacePayment:
    """Return a function that handles an OrderPlaced event and returns the new payment."""

    def place_payment(token: str = "tok_ok", amount: int = 4999) -> Payment:
        reference = uuid4()
        PaymentToken.objects.create(reference=reference, token=token)
        event = OrderPlaced(
            order_id=uuid4(),
            number="F-1001",
            contact_id=uuid4(),
            currency="EUR",
            discount=0,
            shipping=0,
            tax=0,
            total=amount,
            lines=[OrderedLine(sku="LAMP", quantity=1, unit_price=amount)],
            payment_reference=str(reference),
            channel="web",
            nth_order=1,
            first_order_month="2026-05",
            first_this_month=True,
        )
        with transaction.atomic():
            follow_orders([event])
        return Payment.objects.get(event_id=event.event_id)

    return place_payment


@pytest.fixture
def confirmed() -> Callable[[Payment], OrderConfirmed]:
    """Return a function that creates the OrderConfirmed event of a payment's order."""
    return lambda payment: OrderConfirmed(
        order_id=payment.order_id,
        number="F-1001",
        contact_id=uuid4(),
        currency=payment.currency,
        total=payment.amount,
        units=1,
    )


@pytest.fixture
def cancelled() -> Callable[[Payment], OrderCancelled]:
    """Return a function that creates the OrderCancelled event of a payment's order."""
    return lambda payment: OrderCancelled(
        order_id=payment.order_id,
        number="F-1001",
        contact_id=uuid4(),
        currency=payment.currency,
        total=payment.amount,
        units=1,
        reason="sold out",
    )


@pytest.fixture
def said() -> Callable[[UUID], list[str]]:
    """Return a function that lists the types of the events published for an order's payment, in order."""

    def read_types(order_id: UUID) -> list[str]:
        rows = Outbox.objects.filter(topic="shop.payments", key=str(order_id)).order_by("sequence")
        return list(rows.values_list("type", flat=True))

    return read_types


@pytest.fixture
def captured(place: PlacePayment, confirmed: Callable[[Payment], OrderConfirmed]) -> Payment:
    """Return a captured payment of 5000 minor units."""
    payment: Payment = place(amount=5000)
    settle_payments()
    follow_orders([confirmed(payment)])
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.captured_amount) == ("captured", 5000)
    return payment
