"""Concurrent HTTP requests to a running web server: one order for each key, and no response with a 5xx status."""

import json
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.client import make_order
from tests.running_shop import RunningShop

SEED = int(os.environ["SEED"])


class Line:
    """A persistent HTTP connection."""

    def __init__(self, shop: RunningShop) -> None:
        self._connection = HTTPConnection(urlsplit(shop.base_url).netloc, timeout=60)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request. Return the status and the body."""
        data = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1/{path}", data, {"Content-Type": "application/json", **headers})
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None


def run_on_lines(shop: RunningShop, count: int, work: Any) -> list[Any]:
    """Run `work(line, number)` in `count` threads that start together, each with its own connection."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        line = Line(shop)
        barrier.wait(60)
        return work(line, number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize(
    ("keys", "calls"), [(10, 20), pytest.param(200, 50, marks=pytest.mark.long)], ids=["a sample", "all"]
)
def test_each_key_places_one_order_for_many_concurrent_requests(
    running_shop: RunningShop, keys: int, calls: int
) -> None:
    prefix = f"race-{uuid4()}"
    body = make_order((find_skus(running_shop, 1)[0], 1))
    turn = threading.Barrier(calls)

    def send_all(line: Line, _: int) -> list[tuple[int, str, str]]:
        answers = []
        for number in range(keys):
            turn.wait(120)
            status, answer = line.send("POST", "orders/", body, **{"Idempotency-Key": f"{prefix}-{number}"})
            answers.append((status, answer.get("id", ""), json.dumps(answer)))
        return answers

    answers = run_on_lines(running_shop, calls, send_all)
    assert Counter(status for one in answers for status, *_ in one) == {201: keys * calls}
    for number in range(keys):
        assert len({one[number][2] for one in answers}) == 1, f"key {number} has different answers"
    assert len({one[number][1] for one in answers for number in range(keys)}) == keys


def find_skus(shop: RunningShop, count: int) -> list[str]:
    """Return the SKUs of `count` products of the running shop."""
    _, answer = Line(shop).send("GET", f"products/?page_size={count}")
    return [product["sku"] for product in answer["results"]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [2, pytest.param(60, marks=pytest.mark.long)], ids=["a sample", "all"])
def test_concurrent_carts_of_the_same_products_get_no_5xx(running_shop: RunningShop, rounds: int) -> None:
    """The carts hold the same few products in different orders."""
    skus = find_skus(running_shop, 5)

    def shop_around(line: Line, number: int) -> list[int]:
        dice = random.Random(SEED * 100 + number)
        statuses = []
        for _ in range(rounds):
            status, cart = line.send("POST", "carts/")
            statuses.append(status)
            for sku in dice.sample(skus, 4):
                path = f"carts/{cart['id']}/lines/"
                statuses.append(line.send("POST", path, {"sku": sku, "quantity": dice.randint(1, 2)})[0])
            order = {**make_order(("", 0)), "cart": cart["id"]}
            del order["lines"]
            statuses.append(line.send("POST", "orders/", order, **{"Idempotency-Key": str(uuid4())})[0])
        return statuses

    statuses = Counter(status for one in run_on_lines(running_shop, 16, shop_around) for status in one)
    assert statuses == {201: 16 * rounds * 2, 200: 16 * rounds * 4}, f"SEED={SEED}"
