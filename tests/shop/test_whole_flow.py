"""Orders through all five apps in one transaction. The test kit replaces relay, Kafka and receivers."""

import pytest
from django.db.models import Sum

from analytics.models import OrderFact
from analytics.verification import find_recount_differences
from inventory.models import Movement, Reservation, Stock
from notifications.models import Message
from orders.lifecycle.saga import Happening
from orders.models import Order
from payments.models import Payment
from relay.consumer.registry import all_consumers
from relay.testing import assert_nothing_published, assert_published, deliver, published
from shop.events import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped, PaymentCaptured, StockReserved
from tests.shop.conftest import World

# Faults of Kafka and the relay, by probability: none, and all of them. Neither may change the result.
CALM: dict[str, float] = {}
WILD: dict[str, float] = {"duplicate": 0.5, "delay": 0.5, "lose": 0.3, "shuffle": True}


def run_shop(world: World, weather: dict[str, float]) -> None:
    """Deliver events and run Celery's work until no work is left."""
    while deliver(*all_consumers(), **weather) + world.work():  # type: ignore[arg-type]
        pass


def test_an_order_is_confirmed_step_by_step(world: World) -> None:
    order = world.place(quantity=2)
    assert_published(OrderPlaced, key=order.pk, total=9980)
    deliver(*all_consumers())
    assert_published(StockReserved, key=order.pk)
    assert_nothing_published(OrderConfirmed)  # the gateway has not been called yet
    run_shop(world, CALM)
    order.refresh_from_db()
    assert order.status == "confirmed"
    assert_published(OrderConfirmed, key=order.pk, total=9980, units=2)
    assert_published(PaymentCaptured, key=order.pk, amount=9980)
    assert [type(event).__name__ for event in published(key=order.pk)] == [
        *("OrderPlaced", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "PaymentCaptured"),
    ]


@pytest.mark.parametrize("weather", [CALM, WILD, WILD, WILD])
def test_each_order_has_its_effects_once_whatever_the_weather(world: World, weather: dict[str, float]) -> None:
    good = [world.place(quantity=1) for _ in range(6)]
    declined, sold_out = world.place(token="tok_declined"), world.place(sku="GONE")
    run_shop(world, weather)
    world.advance(good[0], Happening.MARKED_SHIPPED)
    run_shop(world, weather)

    ends = dict(Order.objects.values_list("pk", "status"))
    assert [ends[order.pk] for order in good] == ["shipped", *["confirmed"] * 5]
    assert [ends[declined.pk], ends[sold_out.pk]] == ["cancelled"] * 2
    for order in good:
        assert_published(OrderConfirmed, key=order.pk)
    assert_published(OrderShipped, key=good[0].pk)
    assert_published(OrderCancelled, key=declined.pk, reason="payment_declined")
    assert_published(OrderCancelled, key=sold_out.pk, reason="out_of_stock")

    lamps = Stock.objects.get(sku="LAMP")
    assert (lamps.on_hand, lamps.reserved) == (94, 0)
    assert Reservation.objects.filter(state="sold").count() == 6
    assert Movement.objects.filter(sku="LAMP").aggregate(sum=Sum("on_hand_delta"))["sum"] == 94
    assert Payment.objects.filter(status="captured").count() == 6
    assert OrderFact.objects.count() == 8
    assert list(find_recount_differences()) == []
    sent = Message.objects.filter(channel="email").values_list("kind", flat=True)
    assert sorted(sent) == [*["cancelled"] * 2, *["confirmed"] * 6, "shipped"]
