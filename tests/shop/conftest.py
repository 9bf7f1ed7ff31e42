"""A small shop in which all apps run, with a list in place of Kafka."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection, transaction

from inventory.services import receive_opening_stock
from notifications.models import Message
from notifications.tasks import send_messages
from orders.checkout.placement import place_order
from orders.lifecycle.saga import Happening
from orders.lifecycle.transitions import advance_order
from orders.models import Order
from payments.models import Payment
from payments.sandbox.books import open_books
from payments.tasks import settle_payments
from relay.consumer.deliveries import Delivery
from relay.consumer.registry import all_consumers
from relay.models import Outbox
from relay.operations import cluster
from relay.testing.delivery import make_delivery
from shop.catalogue.models import Category, Product
from shop.management.verification.log import Committed
from tests.client import make_address

ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James Square",
    "line2": "",
    "postal_code": "SW1Y 4JH",
    "city": "London",
    "country": "GB",
}


class World:
    """All apps on one database. `log` replaces Kafka's log, and `committed` the offsets of the consumers."""

    def __init__(self) -> None:
        self.log: list[Delivery] = []
        self.committed: Committed = {consumer.name: {} for consumer in all_consumers()}

    def place(self, quantity: int = 2, token: str = "tok_ok", sku: str = "LAMP") -> Order:
        """Place an order and return it. No event is forwarded yet."""
        request = {
            "email": make_address(),
            "phone": f"+44 20 {uuid4().int % 10**8:08}",
            "shipping_address": ADDRESS,
            "lines": [{"sku": sku, "quantity": quantity}],
            "payment_token": token,
        }
        placement = place_order(idempotency_key=str(uuid4()), request=request)
        return Order.objects.get(pk=placement.answer["id"])

    def advance(self, order: Order, *happenings: Happening) -> None:
        """Apply `happenings` to the order, as staff or a deadline would."""
        for happening in happenings:
            with transaction.atomic():
                advance_order(order.pk, happening)

    def run(self) -> None:
        """Run relay, consumers and Celery until no work is left."""
        while self.forward() + self.consume() + self.work():
            pass

    def forward(self) -> int:
        """Append all unpublished rows to the log, as the relay would, and return their number."""
        rows = list(Outbox.objects.filter(published_at=None).order_by("position"))
        for row in rows:
            self.log.append(make_delivery(row)._replace(partition=0, offset=len(self.log)))
        with connection.cursor() as cursor:
            cursor.execute("update relay_outbox set published_at = clock_timestamp() where published_at is null")
        return len(rows)

    def consume(self) -> int:
        """Let each consumer process its new deliveries, and return their number."""
        count = 0
        for consumer in all_consumers():
            offsets = self.committed[consumer.name]
            new = [d for d in self.log if d.topic in consumer.topics and d.offset >= offsets.get((d.topic, 0), 0)]
            consumer.process(new)
            offsets |= {(topic, 0): len(self.log) for topic in consumer.topics}
            count += len(new)
        return count

    def work(self) -> int:
        """Settle payments and send messages, as Celery would, and return the number of due rows."""
        payments = Payment.objects.exclude(wanted="nothing").count()
        messages = Message.objects.filter(status="pending").count()
        settle_payments()
        send_messages()
        return payments + messages


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch) -> World:
    """A shop with three products, with a list in place of Kafka and without a doorbell."""
    monkeypatch.setattr("shop.workqueue.doorbell._ring_now", lambda task, *args: None)
    with open_books() as books:
        books.execute("truncate sandbox_gateway.ledger")
    category = Category.objects.create(slug="home", name="Home")
    for sku, price in [("LAMP", 4990), ("MUG", 1250), ("GONE", 900)]:
        Product.objects.create(sku=sku, name=sku.title(), price=price, category=category)
    receive_opening_stock({"LAMP": 100, "MUG": 100, "GONE": 0})
    world = World()
    monkeypatch.setattr(cluster, "read_log", lambda topics: (d for d in world.log if d.topic in topics))
    monkeypatch.setattr(cluster, "read_committed", lambda groups: world.committed)
    return world


@pytest.fixture
def orders(world: World) -> dict[str, Order]:
    """Return one completed order for each possible outcome, by name."""
    placed = {
        "delivered": world.place(),
        "confirmed": world.place(sku="MUG"),
        "declined": world.place(token="tok_declined"),
        "sold_out": world.place(sku="GONE"),
        "cancelled": world.place(),
    }
    world.advance(placed["cancelled"], Happening.CANCEL_REQUESTED)
    world.run()
    world.advance(placed["delivered"], Happening.MARKED_SHIPPED, Happening.MARKED_DELIVERED)
    world.run()
    return {name: Order.objects.get(pk=order.pk) for name, order in placed.items()}


@pytest.fixture
def break_by_hand(orders: dict[str, Order]) -> Callable[..., None]:
    """Return a function that runs damaging SQL. Names in braces refer to `orders`, for example ``{confirmed.id}``."""

    def execute(*statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.format(**orders))
                assert cursor.rowcount != 0, f"the statement changes no row: {statement}"

    return execute
