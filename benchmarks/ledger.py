"""The price of the control room's ledger while a backlog drains: orders per second with and without it, in turns.

    python -m benchmarks.ledger [--orders 4000] [--turns 3] [--json]

The benchmark starts a separate shop, stops its live process and works on the ledger in this process, with the pauses of
the live process. In each turn it stops inventory, places orders, starts inventory, and waits until all orders are
confirmed, captured and notified. The share is the CPU time of the ledger until it has compared all their events, in
Python and in its database session, of the CPU time that the whole shop and the ledger need for the backlog.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.backlog import Catalogue, count_unfinished, place_quickly, read_cpu, read_number, wait_for_the_others
from benchmarks.stage import running, wait_until
from tests.running_shop import RunningShop

LIMIT_PERCENT = 2.0


class Work(threading.Thread):
    """Works on the ledger like the live process until `stopping` is set, and measures its CPU time in seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.python = self.database = 0.0

    def run(self) -> None:
        """Work in rounds."""
        from django.db import connection

        from shop.control.ledger.round import Ledger
        from shop.environment import describe_session
        from shop.live.bookkeeper import PAUSE_SECONDS

        options = connection.settings_dict["OPTIONS"] | describe_session(["manage.py", "run_live"])
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
        session = psutil.Process(read_number("select pg_backend_pid()", []))
        python, database = time.thread_time(), sum(session.cpu_times()[:2])
        ledger = Ledger()
        while not self.stopping.wait(PAUSE_SECONDS):
            ledger.work()
            self.python = time.thread_time() - python
            self.database = sum(session.cpu_times()[:2]) - database
        ledger.stop()
        connection.close()


@contextmanager
def working() -> Iterator[Work]:
    """Work on the ledger during the block."""
    work = Work()
    work.start()
    try:
        yield work
    finally:
        work.stopping.set()
        work.join()


def is_balanced() -> bool:
    """Return whether the ledger has compared all events."""
    from shop.control.ledger.models import LedgerCheck
    from shop.control.ledger.summary import read_ledger

    return not read_ledger().get("uncut", 1) and not LedgerCheck.objects.filter(closed_at=None).exists()


def catch_up() -> None:
    """Let the ledger compare all events."""
    with working():
        wait_until(is_balanced, "the ledger has open checks")


def drain(shop: RunningShop, catalogue: Catalogue, orders: int) -> dict[str, float]:
    """Drain a backlog. Return the seconds and the CPU seconds of the shop without this process."""
    shop.part_stop("inventory")
    place_quickly([catalogue.make_body() for _ in range(orders)])
    wait_for_the_others()
    until = read_number("select clock_timestamp()", [])
    before, began = read_cpu(shop), time.monotonic()
    shop.part_start("inventory")
    wait_until(lambda: not count_unfinished(until), "the orders of the backlog are not finished", every=0.2)
    seconds = time.monotonic() - began
    used = {name: cpu - before.get(name, 0.0) for name, cpu in read_cpu(shop).items() if name != "this benchmark"}
    return {"seconds": seconds, "cpu": sum(used.values())}


def measure(shop: RunningShop, orders: int, turns: int) -> dict[str, Any]:
    """Return the figures of all turns."""
    from inventory.services import receive_stock
    from shop.catalogue.models import Product

    skus = list(Product.objects.filter(is_active=True).order_by("sku").values_list("sku", flat=True))
    for sku in skus:
        receive_stock(sku, 100_000, "benchmark")
    catalogue = Catalogue(skus)
    shop.part_stop("live")
    drain(shop, catalogue, orders)
    found: dict[str, Any] = {"without": [], "with": []}
    for _ in range(turns):
        catch_up()
        found["without"].append(drain(shop, catalogue, orders))
        catch_up()
        with working() as work:
            row = drain(shop, catalogue, orders)
            began = time.monotonic()
            wait_until(is_balanced, "the ledger has open checks")
            row |= {"balanced": time.monotonic() - began, "python": work.python, "database": work.database}
        found["with"].append(row)
    return found


def show(found: dict[str, Any], orders: int) -> None:
    """Print the table."""
    print(f"{'orders/s':>10}{'CPU s':>8}{'of it Python':>14}{'database':>10}{'share %':>9}{'balanced after s':>18}")
    for name in ("without", "with"):
        for row in found[name]:
            text = f"{orders / row['seconds']:>10.0f}{row['cpu']:>8.1f}"
            if name == "with":
                share = 100 * (row["python"] + row["database"]) / (row["cpu"] + row["python"])
                text += f"{row['python']:>14.2f}{row['database']:>10.2f}{share:>9.1f}{row['balanced']:>18.1f}"
            print(f"{text}   {name} the ledger")
    seconds = {name: statistics.median(row["seconds"] for row in found[name]) for name in found}
    ratio = 100 * seconds["without"] / seconds["with"]
    print(f"throughput with the ledger: {ratio:.1f} % (limit of the share: {LIMIT_PERCENT} %)")


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=4000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    with running() as shop:
        found = measure(shop, options.orders, options.turns)
        show(found, options.orders)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
