"""A rotation of SECRET_KEY by the steps of docs/configuration.md, on a whole shop that restarts after each step."""

from pathlib import Path

import pytest

from tests.client import Answer, Customer, call, make_order
from tests.plugin import choose_port
from tests.running_shop import RunningShop

pytestmark = pytest.mark.timeout(600)
OLD, NEW = "old-" * 16, "new-" * 16
#: SECRET_KEY and SECRET_KEY_FALLBACKS after each step. The sample skips the steps before and after the change.
STEPS = [(OLD, ""), (OLD, NEW), (NEW, OLD), (NEW, "")]


def open_link(customer: Customer, placed: Answer) -> int:
    """Return the status of a request for the order with its access token."""
    url = f"{customer.base_url}/api/v1/orders/{placed.body['id']}/"
    return call("GET", url, headers={"X-Order-Token": placed.body["access_token"]}).status


@pytest.mark.parametrize("steps", [STEPS[:3:2], pytest.param(STEPS, marks=pytest.mark.long)], ids=["a sample", "all"])
def test_orders_are_paid_and_links_open_after_each_step(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    shop = RunningShop(choose_port(9400), tmp_path / "var")
    placed: list[tuple[str, Answer]] = []
    try:
        for key, fallbacks in steps:
            shop.environment |= {"SECRET_KEY": key, "SECRET_KEY_FALLBACKS": fallbacks}
            shop.start(240)
            customer = Customer(shop.base_url)
            expected = [200 if signer in (key, fallbacks) else 404 for signer, _ in placed]
            assert [open_link(customer, order) for _, order in placed] == expected
            # The token makes the sandbox send its answer by a webhook only.
            order = customer.place(make_order(("TARP-LO", 1), token="tok_webhook"))
            assert order.status == 201, order.body
            customer.wait_for(order, "confirmed")
            placed.append((key, order))
            shop.stop()
    finally:
        shop.stop()
        shop.end_leftovers()
