"""Products that are bought together: a late consumer equals one from the start, and the product page shows them."""

from datetime import UTC, datetime
from itertools import combinations
from uuid import uuid4

import pytest
from django.test import Client

from analytics.handlers import bought_together
from analytics.models import ProductPair
from analytics.pairs.consumer import declare_pairs, empty_pairs
from relay.testing import deliver
from shop.catalogue.models import Category, Product
from tests.analytics.conftest import placed
from tests.analytics.replicas import publish_all

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def order(*skus: str) -> None:
    publish_all([placed(NOON, uuid4(), dict.fromkeys(skus, (1, 500)))])


def read_pairs() -> dict[tuple[str, str], int]:
    return {(pair.sku, pair.other): pair.orders for pair in ProductPair.objects.all()}


def test_a_consumer_that_joins_a_shop_with_history_equals_one_from_the_start() -> None:
    for skus in (["MUG", "POT"], ["MUG", "POT", "TEA"], ["LAMP"]):
        order(*skus)
        deliver(bought_together, duplicate=0.5)
    late = declare_pairs("late")
    order("TEA", "MUG")
    deliver(bought_together, duplicate=0.5)
    first = read_pairs()
    assert first["MUG", "POT"] == first["POT", "MUG"] == first["MUG", "TEA"] == 2 and first["POT", "TEA"] == 1
    assert len(first) == 2 * len([*combinations(["MUG", "POT", "TEA"], 2)])
    empty_pairs()
    deliver(late, shuffle=True, duplicate=0.5)
    order("TEA", "LAMP")
    deliver(late)
    assert read_pairs() == first | {("TEA", "LAMP"): 1, ("LAMP", "TEA"): 1}


def test_the_product_page_shows_at_most_four_companions_that_are_in_stock(client: Client) -> None:
    from inventory.services import receive_opening_stock

    shelf = Category.objects.create(name="Kitchen", slug="kitchen")
    skus = ["MUG", "POT", "TEA", "LAMP", "JAR", "TRAY", "GONE"]
    for sku in skus:
        Product.objects.create(sku=sku, category=shelf, name=sku.title(), price=500, is_active=sku != "GONE")
    receive_opening_stock({sku: 0 if sku == "POT" else 5 for sku in skus})
    page = client.get("/p/MUG/").content.decode()
    assert "Bought together" not in page
    for other in skus[1:]:
        order("MUG", other)
    order("MUG", "TRAY")
    deliver(bought_together)
    page = client.get("/p/MUG/").content.decode()
    section = page.partition("Bought together")[2].partition("</section>")[0]
    shown = [sku for sku in skus if f"/p/{sku}/" in section]
    assert shown == ["TEA", "LAMP", "JAR", "TRAY"], section
    assert section.index("/p/TRAY/") < section.index("/p/JAR/")
    assert page.count('id="stock-TRAY"') == 1
