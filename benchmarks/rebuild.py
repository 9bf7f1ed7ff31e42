"""Milliseconds until the response to POST /orders/ while a rebuild of analytics runs, and without one, in turns.

    python -m benchmarks.rebuild [--rate 20] [--seconds 25] [--turns 2] [--activity 120000] [--processes 1] [--json]

The benchmark starts a whole shop. The outbox gets views and cart changes, and the consumer applies them. In each turn
orders are placed at a constant rate without a rebuild and then during one, which must last longer than the orders. The
percentiles are of the orders of all turns.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.backlog import Catalogue
from benchmarks.outages import percentile
from benchmarks.stage import wait_until
from benchmarks.whole import BASE_DIR
from benchmarks.whole_load import Client
from benchmarks.whole_shop import WholeShop

_FILL = """
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from benchmarks.traffic import make_events
from relay.publisher.outbox import publish_many
from shop.events import ActivityEvent
events = make_events({count} * 14 // 8, timezone.now() - timedelta(hours=2))
events = [event for event in events if isinstance(event, ActivityEvent)]
for start in range(0, len(events), 5000):
    with transaction.atomic():
        publish_many(events[start : start + 5000])
"""
_APPLIED = "select coalesce(sum(last), 0) from relay_cursor where consumer = 'analytics' and topic = 'shop.activity'"
_BUILT = "select coalesce(max(events), 0) from analytics_generationchoice where other <> '' and switched_at is null"
LIMIT = 1.1


def fill(shop: WholeShop, count: int) -> None:
    """Publish about `count` activities, and wait until the consumer has applied them."""
    shop.manage("shell", "-c", _FILL.format(count=count))
    wait_until(lambda: shop.read_number(_APPLIED) >= 0.9 * count, "analytics does not apply the activity")
    shop.database.execute("vacuum analyze")


@contextmanager
def rebuilding(shop: WholeShop, processes: int) -> Iterator["subprocess.Popen[str]"]:
    """Yield a running rebuild that has applied events. Afterwards, wait for its end and delete the former tables."""
    command = ["analytics", "rebuild", "--confirm", "--reason", "benchmark", "--processes", str(processes)]
    build = shop.begin(*command)
    wait_until(lambda: build.poll() is not None or shop.read_number(_BUILT), "the rebuild does not begin", every=0.1)
    yield build
    output, _ = build.communicate(timeout=600)
    assert build.returncode == 0, output
    shop.manage("analytics", "drop-generation", "--reason", "benchmark")


def measure(shop: WholeShop, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the milliseconds of all orders without and during a rebuild."""
    waits: dict[str, list[float]] = {"alone": [], "rebuild": []}

    def order(name: str, seconds: float) -> None:
        client = Client(shop.port, Catalogue(shop.skus))
        client.order(options.rate, seconds)
        client.close()
        waits.setdefault(name, []).extend(1000 * wait for wait in client.waits)

    order("warm", 5)
    for _ in range(options.turns):
        order("alone", options.seconds)
        with rebuilding(shop, options.processes) as build:
            order("rebuild", options.seconds)
            assert build.poll() is None, "the rebuild ended before the orders: measure with more --activity"
    return {name: waits[name] for name in ("alone", "rebuild")}


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20, help="orders per second")
    parser.add_argument("--seconds", type=float, default=25, help="duration of the orders of each turn")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--activity", type=int, default=120_000, help="events that the rebuild applies")
    parser.add_argument("--processes", type=int, default=1, help="processes of the rebuild: 1 or 2")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    with WholeShop(BASE_DIR, sys.executable).started() as shop:
        fill(shop, options.activity)
        waits = measure(shop, options)
    cuts = {name: {f"p{cut}": percentile(of, cut) for cut in (50, 95, 99)} for name, of in waits.items()}
    for name, found in cuts.items():
        print(f"{name:<10}" + "".join(f"{cut:>6}{value:>8.1f} ms" for cut, value in found.items()))
    ratio = cuts["rebuild"]["p99"] / cuts["alone"]["p99"]
    print(f"p99 during a rebuild is {ratio:.2f}x of without, {len(waits['rebuild'])} orders each (limit {LIMIT}x)")
    if options.json:
        print(json.dumps({**cuts, "p99_ratio": ratio}))


if __name__ == "__main__":
    main()
