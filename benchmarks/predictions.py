"""Predicted and actual time to drain after outages of one consumer, at a steady rate of orders.

    python -m benchmarks.predictions [--consumer inventory] [--rate 40] [--seconds 60 60 600] [--pause]

The benchmark starts a separate shop, places orders over HTTP at a steady rate, and stops or pauses the consumer for
each of the given times. The first outage teaches the capacity, so it has no prediction. The figures are those that the
control room shows: the last prediction while the consumer was away, and the one 5 s after its return.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.backlog import Catalogue
from benchmarks.stage import running, wait_until
from benchmarks.whole_load import Client
from tests.running_shop import RunningShop

CALM_SECONDS = 30
STOCK = """
from inventory.services import receive_stock
from shop.catalogue.models import Product
for sku in Product.objects.filter(is_active=True).values_list("sku", flat=True):
    receive_stock(sku, 1_000_000, "benchmark")
"""


@contextmanager
def ordering(port: int, rate: float) -> Iterator[None]:
    """Place `rate` orders per second in a thread until the end of the block."""
    from shop.catalogue.models import Product

    client = Client(port, Catalogue(list(Product.objects.filter(is_active=True).values_list("sku", flat=True))))
    stopping = threading.Event()

    def work() -> None:
        while not stopping.is_set():
            client.order(rate, 2.0)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        client.close()


def interrupt(shop: RunningShop, consumer: str, seconds: float, *, pauses: bool) -> None:
    """Stop or pause `consumer` for `seconds`."""
    if pauses:
        from relay.operations.pause import pause, resume

        pause(consumer, actor="benchmark", reason="benchmark")
        time.sleep(seconds)
        resume(consumer, actor="benchmark")
        return
    shop.part_stop(consumer)
    time.sleep(seconds)
    shop.part_start(consumer)


def measure(shop: RunningShop, consumer: str, seconds: float, *, pauses: bool) -> dict[str, Any]:
    """Return the figures of one outage."""
    from shop.control.models import Outage

    known = Outage.objects.filter(consumer=consumer).count()
    interrupt(shop, consumer, seconds, pauses=pauses)
    wait_until(
        lambda: (
            Outage.objects.filter(consumer=consumer).count() > known
            and not Outage.objects.filter(consumer=consumer, ended_at=None).exists()
        ),
        f"the outage of {consumer} does not end",
    )
    outage = Outage.objects.filter(consumer=consumer).latest("began_at")
    return {
        "kind": outage.kind,
        "away": outage.away_seconds,
        "waiting": outage.waiting,
        "arriving": outage.arriving,
        "work": outage.work,
        "capacity": outage.capacity,
        "predicted_away": outage.predicted_away,
        "predicted_back": outage.predicted_back,
        "actual": outage.drain_seconds,
        "score_away": outage.score_away,
        "score_back": outage.score_back,
    }


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--consumer", default="inventory")
    parser.add_argument("--rate", type=float, default=40.0, help="orders per second")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 60.0, 600.0], help="length of each outage")
    parser.add_argument("--pause", action="store_true", help="pause the consumer instead of stopping its process")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running() as shop:
        shop.manage("shell", "-c", STOCK)
        with ordering(int(shop.base_url.rpartition(":")[2]), options.rate):
            time.sleep(CALM_SECONDS)
            print(
                f"{'away s':>8}{'waited':>9}{'in/s':>8}{'work':>9}{'mu/s':>8}{'away: pred':>12}{'back: pred':>12}"
                f"{'actual s':>10}{'score':>7}{'score':>7}"
            )
            for seconds in options.seconds:
                line = measure(shop, options.consumer, seconds, pauses=options.pause)
                shown = {name: "-" if value is None else value for name, value in line.items()}
                cells = [
                    f"{value:.1f}" if isinstance(value := shown[name], float) else str(value)
                    for name in ("away", "waiting", "arriving", "work", "capacity")
                ]
                cells += [
                    f"{value:.1f}" if isinstance(value := shown[name], float) else str(value)
                    for name in ("predicted_away", "predicted_back", "actual", "score_away", "score_back")
                ]
                widths = (8, 9, 8, 9, 8, 12, 12, 10, 7, 7)
                print("".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)), flush=True)
                if options.json:
                    print(json.dumps(line), flush=True)
                time.sleep(CALM_SECONDS)


if __name__ == "__main__":
    main()
