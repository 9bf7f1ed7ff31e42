"""Guests with declined cards compete with honest customers for the last pieces of a product, in the running shop.

Two strangers keep several undecided orders each, so that their orders want all pieces all the time. The honest
customer cancels each confirmed order, which returns its piece: 21 pieces could serve all honest orders.
"""

import threading
from collections import Counter, deque

import psycopg
import pytest

from tests.client import Answer, Customer, call, make_order
from tests.flows.test_life_of_an_order import assert_adds_up
from tests.running_shop import RunningShop

PIECES = 21
STRANGERS = 2
DECLINED_ORDERS = 154
HONEST_ORDERS = 23
#: Pieces in an order of a stranger: all of them.
GREED = PIECES
#: Undecided orders of each stranger at any time.
UNDECIDED = 6
_PICK = """
select sku, on_hand from inventory_stock join catalogue_product using (sku)
where is_active and most_per_customer is null and reserved = 0 and on_hand > %s order by sku limit 1
"""
_CORRECT = """
with corrected as (update inventory_stock set on_hand = %(pieces)s where sku = %(sku)s)
insert into inventory_movement (sku, kind, on_hand_delta, reserved_delta, event_id, reason, created_at)
values (%(sku)s, 'adjusted', %(pieces)s - %(on_hand)s, 0, gen_random_uuid(), 'counted', now())
"""


def leave_few_pieces(shop: RunningShop) -> str:
    """Correct the stock of a product to PIECES and return its SKU."""
    with psycopg.connect(shop.addresses["postgres"]) as connection:
        found = connection.execute(_PICK, [PIECES]).fetchone()
        assert found, f"no product has more than {PIECES} pieces"
        connection.execute(_CORRECT, {"pieces": PIECES, "sku": found[0], "on_hand": found[1]})
        return str(found[0])


def order_with_declined_cards(shop: RunningShop, sku: str, count: int) -> None:
    """Place `count` orders whose cards are declined, with at most UNDECIDED undecided orders at once."""
    stranger, undecided = Customer(shop.base_url), deque[Answer]()
    for _ in range(count):
        body = make_order((sku, GREED), token="tok_declined")
        placed = stranger.place(body)
        assert placed.status == 201, placed
        undecided.append(placed)
        if len(undecided) >= UNDECIDED:
            stranger.wait_for(undecided.popleft(), "cancelled", seconds=90)


def order_honestly(shop: RunningShop, sku: str) -> Counter[str]:
    """Place HONEST_ORDERS orders one after another. Return the number of orders by status or reason."""
    customer, ends = Customer(shop.base_url), Counter[str]()
    for _ in range(HONEST_ORDERS):
        placed = customer.place(make_order((sku, 1)))
        assert placed.status == 201, placed
        order = customer.wait_for(placed, "confirmed", "cancelled", seconds=90)
        ends[order["reason"] or order["status"]] += 1
        if order["status"] == "confirmed":
            headers = {"X-Order-Token": placed.body["access_token"]}
            address = f"{shop.base_url}/api/v1/orders/{order['id']}/cancel/"
            assert call("POST", address, {}, headers).status == 200
    return ends


@pytest.mark.timeout(600)
def test_declined_orders_do_not_hold_the_stock_of_honest_customers(running_shop: RunningShop) -> None:
    sku = leave_few_pieces(running_shop)
    share = DECLINED_ORDERS // STRANGERS
    strangers = [
        threading.Thread(target=order_with_declined_cards, args=(running_shop, sku, share)) for _ in range(STRANGERS)
    ]
    for stranger in strangers:
        stranger.start()
    ends = order_honestly(running_shop, sku)
    for stranger in strangers:
        stranger.join()
    print(ends)
    assert ends["out_of_stock"] <= 1
    assert ends["confirmed"] >= HONEST_ORDERS - 1
    assert_adds_up(running_shop)
