"""Latency of orders while one part is stopped, and the time that the part needs to catch up.

    python -m benchmarks.outages [--orders 200] [--json]

The benchmark starts a separate shop, and places orders over HTTP with all parts running, and with each part stopped in
turn. The limit is 1.5 times the p95 with all parts running, measured before each outage in the same run.
"""

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass

from benchmarks.stage import running
from tests.client import Customer, make_order
from tests.running_shop import RunningShop

PARTS = ["inventory", "payments", "notifications", "analytics", "celery", "valkey", "kafka"]


@dataclass(frozen=True)
class Line:
    """Result of one outage: latencies of POST /api/v1/orders/ in milliseconds, and the drain in seconds."""

    stopped: str
    answers_201: int
    orders: int
    p50: float
    p95: float
    p99: float
    against_all_up: float
    drain_seconds: float


def place_orders(customer: Customer, sku: str, count: int) -> tuple[list[float], int]:
    """Place `count` orders one after another. Return the latencies in milliseconds and the number of 201 responses."""
    answers = [customer.place(make_order((sku, 1))) for _ in range(count)]
    return [answer.seconds * 1000 for answer in answers], sum(answer.status == 201 for answer in answers)


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of `values`, for example `percent` 95."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def wait_until_drained() -> float:
    """Wait until nothing is in flight, and return the seconds until then."""
    from shop.management.verification.drain import read_in_flight

    began = time.monotonic()
    while read_in_flight():
        if time.monotonic() - began > 300:
            raise AssertionError(f"not drained after 300 s: {read_in_flight()}")
        time.sleep(0.1)
    return time.monotonic() - began


def measure(shop: RunningShop, sku: str, count: int) -> list[Line]:
    """Stop each part in turn, and return the results. The first line is the median without an outage."""
    customer = Customer(shop.base_url)
    place_orders(customer, sku, 50)
    wait_until_drained()
    lines: list[Line] = []
    for part in PARTS:
        # Repeat the measurement without an outage, because the machine's speed varies.
        up, up_201 = place_orders(customer, sku, count)
        up_drain = wait_until_drained()
        shop.part_stop(part)
        down, down_201 = place_orders(customer, sku, count)
        shop.part_start(part)
        drain = wait_until_drained()
        for name, values, answers, drained in [("nothing", up, up_201, up_drain), (part, down, down_201, drain)]:
            ratio = percentile(values, 95) / percentile(up, 95)
            p50, p95, p99 = (percentile(values, percent) for percent in (50, 95, 99))
            lines.append(Line(name, answers, count, p50, p95, p99, ratio, drained))
    all_up = [line for line in lines if line.stopped == "nothing"]
    median_up = sorted(all_up, key=lambda line: line.p95)[len(all_up) // 2]
    return [median_up, *(line for line in lines if line.stopped != "nothing")]


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running() as shop:
        from tests.flows.test_life_of_an_order import find_sku

        sku = find_sku(shop)
        shop.manage(
            "shell", "-c", f"from inventory.services import receive_stock; receive_stock({sku!r}, 50000, 'bench')"
        )
        lines = measure(shop, sku, options.orders)
    print(f"{'stopped':<15}{'201':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'p95 ratio':>11}{'drain s':>9}")
    for line in lines:
        print(
            f"{line.stopped:<15}{line.answers_201:>5}/{line.orders}{line.p50:>9.1f}{line.p95:>9.1f}{line.p99:>9.1f}"
            f"{line.against_all_up:>11.2f}{line.drain_seconds:>9.1f}"
        )
    if options.json:
        print(json.dumps([asdict(line) for line in lines]))


if __name__ == "__main__":
    main()
