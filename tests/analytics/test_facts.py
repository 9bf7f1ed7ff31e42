"""The facts and rollups of single events: by event time, in every order of arrival."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from analytics.facts.consumer import add_events
from analytics.models import OrderFact
from relay import Event
from shop import events
from shop.events import Shortage
from tests.analytics.conftest import add, cancelled, paid, placed, read_table

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
S = timedelta(seconds=1)
pytestmark = pytest.mark.django_db


def test_the_life_of_an_order_is_one_row_in_every_order_of_arrival() -> None:
    """Topics overtake one another; only the events of one topic and key keep their order."""
    seen = set()
    for order in list(permutations(range(4)))[::5]:
        order_id = uuid4()
        short = Shortage(sku="MUG", requested=3, available=1)
        life: list[Event] = [
            placed(NOON, order_id, {"MUG": (3, 100), "POT": (1, 50)}, shipping=7, total=357),
            paid(events.PaymentAuthorized, NOON + S, order_id, 357),
            events.StockRejected(occurred_at=NOON + 2 * S, order_id=order_id, shortages=[short]),
            paid(events.PaymentRefunded, NOON + 3 * S, order_id, 100, left=0),
        ]
        for position in order:
            add(life[position])
        add(cancelled(NOON + 4 * S, order_id, 4, 357, "out_of_stock"))
        fact = OrderFact.objects.get(pk=order_id)
        fact.pk = None
        seen.add(tuple(value for name, value in sorted(vars(fact).items()) if name not in ("_state", "order_id")))
    assert len(seen) == 1
    fact = OrderFact.objects.order_by("?")[0]
    assert (fact.placed_at, fact.authorized_at, fact.rejected_at) == (NOON, NOON + S, NOON + 2 * S)
    assert (fact.cancelled_at, fact.reason, fact.confirmed_at) == (NOON + 4 * S, "out_of_stock", None)
    assert (fact.total, fact.shipping, fact.units, fact.refunded, fact.channel) == (357, 7, 4, 100, "web")
    assert (fact.nth_order, fact.first_order_month, fact.first_this_month) == (1, "2026-05", True)
    assert set(read_table("order_line_fact", "sku, quantity, unit_price, currency, missing")) == {
        ("MUG", 3, 100, "EUR", 2),
        ("POT", 1, 50, "EUR", None),
    }
    assert read_table("product_hour", "hour, sku, currency, ordered_units, ordered_amount, rejected_units") == [
        (NOON, "MUG", "EUR", 15, 1500, 10),
        (NOON, "POT", "EUR", 5, 250, 0),
    ]


def test_an_order_that_meets_its_payment_in_one_batch_is_one_row(order_id: UUID) -> None:
    with transaction.atomic():
        add_events(
            "public",
            [placed(NOON, order_id, {"MUG": (1, 9)}), paid(events.PaymentDeclined, NOON + S, order_id, 9, reason="no")],
        )
    fact = OrderFact.objects.get()
    assert (fact.placed_at, fact.declined_at, fact.decline_reason, fact.total) == (NOON, NOON + S, "no", 9)
