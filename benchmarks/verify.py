"""Duration of `manage.py verify`, and of reading the lag and the work in flight, with many orders.

    python -m benchmarks.verify [--orders 100000] [--json]

The benchmark starts a separate shop, brings 120 orders to all possible states, and copies their rows with new ids by
SQL. The relay sends the copied events, and the consumers skip them as duplicates. The first measurement uses the
planner statistics of the 120 orders, and the second one follows an ANALYZE.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any

from benchmarks.copies import copy_orders, take_every_way
from benchmarks.stage import running, wait_until
from tests.running_shop import RunningShop

FIRST = 120
SOLD_OUT = "STOOL-KVIST"


def fill(shop: RunningShop, orders: int) -> None:
    """Create `orders` orders, and wait until the relay and all consumers have handled their events."""
    from django.db import connection

    from inventory.models import Stock
    from inventory.services import receive_stock
    from relay.consumer.registry import all_consumers
    from relay.operations import cluster
    from shop.management.verification.drain import read_in_flight

    skus = list(Stock.objects.exclude(on_hand=0).values_list("sku", flat=True))
    for sku in skus:
        receive_stock(sku, 10 * orders, "benchmark")
    with connection.cursor() as cursor:
        cursor.execute("alter system set autovacuum = off")
        cursor.execute("select pg_reload_conf()")

    def analyze() -> None:
        with connection.cursor() as cursor:
            cursor.execute("analyze")

    take_every_way(shop, skus, SOLD_OUT, FIRST, stopped=analyze)
    copy_orders(orders // FIRST - 1)

    def is_read() -> bool:
        committed = cluster.read_committed([consumer.name for consumer in all_consumers()])
        return all(sum(offsets.values()) >= orders for offsets in committed.values())

    wait_until(lambda: not read_in_flight() and is_read(), "the copies are not sent")


def measure_steps(work: Callable[[Callable[[str], None]], object]) -> dict[str, float]:
    """Call `work` with a function that it calls before each step. Return the seconds of each step from 0.01 s."""
    steps: dict[str, float] = {}
    name, began = "", time.perf_counter()

    def note(step: str) -> None:
        nonlocal name, began
        now = time.perf_counter()
        steps[name] = steps.get(name, 0.0) + now - began
        name, began = step.partition(",")[0], now

    work(note)
    note("")
    return {step: seconds for step, seconds in steps.items() if seconds >= 0.01}


def measure() -> dict[str, Any]:
    """Run the verification and the operator's queries, and return their seconds and the memory in MB."""
    from relay.consumer.lag import read_lag
    from relay.consumer.registry import all_consumers
    from shop.management.verification import verify
    from shop.management.verification.drain import read_in_flight

    def check(tell: Callable[[str], None]) -> None:
        report = verify(tell=tell)
        assert not report.differences, report.differences[:5]
        assert not report.in_flight, report.in_flight

    seconds = measure_steps(check)
    figures: dict[str, Any] = {"verify": sum(seconds.values()), "steps": seconds}
    figures["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["in_flight"] = sum(measure_steps(lambda tell: read_in_flight()).values())
    figures["lag"] = sum(measure_steps(lambda tell: [read_lag(consumer) for consumer in all_consumers()]).values())
    return figures


def main() -> None:
    """Run the benchmark and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running() as shop:
        from django.db import connection

        from orders.models import Order

        fill(shop, options.orders)
        found = {"old statistics": measure()}
        with connection.cursor() as cursor:
            cursor.execute("set statement_timeout = 0; analyze")
        found["analyzed"] = measure()
        print(f"{Order.objects.count()} orders\n\n{'seconds':<60}" + "".join(f"{name:>16}" for name in found))
    steps = {step for figures in found.values() for step in figures["steps"]}
    for step in sorted(steps, key=lambda step: -found["old statistics"]["steps"].get(step, 0.0)):
        print(f"{step:<60}" + "".join(f"{figures['steps'].get(step, 0.0):>16.2f}" for figures in found.values()))
    for name in ("verify", "in_flight", "lag", "megabytes"):
        print(f"{name:<60}" + "".join(f"{figures[name]:>16.2f}" for figures in found.values()))
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
