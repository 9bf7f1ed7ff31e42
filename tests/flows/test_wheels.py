"""Nothing needs to be installed: kept also where PostgreSQL and Java are, by a second shop from wheels alone."""

import os
from pathlib import Path

from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.plugin import is_free
from tests.running_shop import RunningShop


def test_a_shop_from_wheels_alone_confirms_an_order() -> None:
    folder = Path(os.environ["VAR_DIR"]).with_name("test-wheels")
    port = next(port for port in range(int(os.environ["PORT"]) + 1, 9100) if is_free(port))
    shop = RunningShop(port=port, var_dir=folder, EMBEDDED="wheels")
    shop.end_leftovers()
    shop.start(timeout=240)
    try:
        customer = Customer(shop.base_url)
        placed = customer.place(make_order((find_sku(shop), 1)))
        customer.wait_for(placed, "confirmed")
        assert_adds_up(shop)
    finally:
        shop.stop()
