"""The control room of a large shop: database time of a sample by section, and time of each page on the server.

    python -m benchmarks.control [--orders 1000000] [--viewers 50] [--json]

The benchmark starts a separate shop, brings 120 orders to all possible states, and copies their rows with new ids by
SQL; the copied events count as published and applied. 1,000,000 orders need about 15 GB of disk.

- sample: the time that the sampler waits for the database, once without viewers and once with viewers who fetch the
  newest sample every five seconds. The live process is stopped meanwhile, so that the benchmark takes the samples.
- pages: all pages of shop/control/urls.py and the admin's start page. Each is fetched in this process with a log-in.

Statements that take longer than SLOW_MS are printed with their plans.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.copies import copy_orders, take_every_way
from benchmarks.stage import connect_as, running, wait_until
from benchmarks.verify import FIRST, SOLD_OUT
from tests.client import call
from tests.running_shop import RunningShop

SAMPLES, FETCHES = 5, 11
#: A statement that takes longer is printed with its plan.
SLOW_MS = 25.0
SAMPLE_LIMIT_MS, PAGE_LIMIT_MS = 150, 100
_EXPLAINED: set[str] = set()
Timed = list[tuple[float, str, Any]]  # milliseconds, statement, values


def fill(shop: RunningShop, orders: int) -> None:
    """Create `orders` orders whose events are published and applied, and analyze the tables."""
    from django.db import connection

    from inventory.models import Stock
    from inventory.services import LARGEST_RECEIPT, receive_stock

    skus = list(Stock.objects.exclude(on_hand=0).values_list("sku", flat=True))
    for sku in skus:
        for _receipt in range(10):
            receive_stock(sku, min(orders, LARGEST_RECEIPT), "benchmark")
    take_every_way(shop, skus, SOLD_OUT, FIRST, stopped=lambda: None)
    with connection.cursor() as cursor:
        cursor.execute("alter system set autovacuum = off")
        cursor.execute("alter system set max_wal_size = '8GB'")
        cursor.execute("select pg_reload_conf()")
    began = time.monotonic()
    copy_orders(max(1, orders // FIRST - 1), published=True)
    with connection.cursor() as cursor:
        cursor.execute("set statement_timeout = 0")
        cursor.execute("vacuum (analyze)")
    print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)


@contextmanager
def timed() -> Iterator[Timed]:
    """Collect the statements of this thread during the block."""
    from django.db import connection

    found: Timed = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            found.append(((time.perf_counter() - began) * 1000, str(sql), params))

    with connection.execute_wrapper(note):
        yield found


def measure_samples() -> dict[str, float]:
    """Return the median database time of SAMPLES samples in milliseconds, by section and in total.

    The time of a statement includes waits for a busy machine; the processor time of the database's session does not.
    """
    from django.db import connection

    from shop.control import figures
    from shop.control.sampler import take_sample

    sections: list[dict[str, float]] = []
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        session = psutil.Process(cursor.fetchone()[0])
    before = session.cpu_times()
    read_section = figures.read_section

    def read_timed(name: str, read: Callable[[], Any]) -> Any:
        with timed() as found:
            result = read_section(name, read)
        sections[-1][name] = sections[-1].get(name, 0.0) + sum(taken for taken, _, _ in found)
        explain(found, f"section {name}")
        return result

    figures.read_section = read_timed
    try:
        for _ in range(SAMPLES):
            sections.append({})
            total: Timed = []

            def take(total: Timed = total) -> bool:
                total.clear()
                with timed() as found:
                    taken = take_sample()
                total += found
                return taken

            wait_until(take, "no period is free", every=0.2)
            sections[-1]["total"] = sum(taken for taken, _, _ in total)
    finally:
        figures.read_section = read_section
    used = sum(session.cpu_times()[:2]) - sum(before[:2])
    names = dict.fromkeys(name for section in sections for name in section)
    found = {name: statistics.median(section.get(name, 0.0) for section in sections) for name in names}
    return {**found, "processor time of the session": 1000 * used / SAMPLES}


@contextmanager
def viewing(shop: RunningShop, viewers: int) -> Iterator[None]:
    """Fetch the newest sample `viewers` times per five seconds over HTTP during the block."""
    stopped, headers = threading.Event(), {"Cookie": "; ".join(f"{n}={m.value}" for n, m in log_in().cookies.items())}

    def view() -> None:
        while not stopped.wait(5 / viewers):
            assert call("GET", f"{shop.base_url}/control/now.json", headers=headers).status == 200

    thread = threading.Thread(target=view)
    if viewers:
        thread.start()
    yield
    stopped.set()
    if viewers:
        thread.join()


def log_in() -> Any:
    """Return a client whose user may see everything."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.get(username="staff"))
    return client


def list_pages() -> Iterator[tuple[str, str]]:
    """Yield the route and a path of each page below /control/, with values of the newest order for its parameters."""
    from shop.control.urls import urlpatterns

    values = find_values()
    for pattern in urlpatterns:
        names = list(pattern.pattern.converters)
        route = f"/control/{pattern.pattern}"
        if missing := [name for name in names if name not in values]:
            print(f"{route}: not measured, no value for {', '.join(missing)}", file=sys.stderr)
            continue
        path = route
        for name in names:
            path = "/".join(
                str(values[name]) if part.strip("<>").rpartition(":")[2] == name else part for part in path.split("/")
            )
        yield route, path
    yield "/admin/", "/admin/"


def find_values() -> dict[str, Any]:
    """Return values for the parameters of routes, by name."""
    from orders.models import Order
    from payments.models import Payment

    order = Order.objects.filter(status="delivered").latest("placed_at")
    payment = Payment.objects.filter(order_id=order.pk).first()
    return {
        **dict.fromkeys(("name", "consumer"), "inventory"),
        **dict.fromkeys(("number", "order_number"), order.number),
        **dict.fromkeys(("order", "order_id", "key"), order.pk),
        **dict.fromkeys(("reference", "payment"), payment.gateway_reference if payment else ""),
        "topic": "shop.orders",
    }


def measure_page(client: Any, path: str) -> dict[str, Any]:
    """Return status, median time, median database time and the number of statements of a page."""
    status = client.get(path).status_code
    if status != 200:
        return {"status": status}
    whole, database = [], []
    for _ in range(FETCHES):
        with timed() as found:
            began = time.perf_counter()
            client.get(path)
            whole.append((time.perf_counter() - began) * 1000)
        database.append(sum(taken for taken, _, _ in found))
    explain(found, path)
    return {
        "status": status,
        "ms": statistics.median(whole),
        "database_ms": statistics.median(database),
        "statements": len(found),
    }


def explain(found: Timed, place: str) -> None:
    """Print the plans of slow statements, of each statement once."""
    from django.db import connection

    for taken, sql, params in found:
        if taken < SLOW_MS or sql in _EXPLAINED:
            continue
        _EXPLAINED.add(sql)
        print(f"\n{place}: {taken:.0f} ms\n{sql.strip()}\n{str(params)[:300]}", file=sys.stderr)
        if sql.lstrip().lower().startswith(("select", "with")):
            with connection.cursor() as cursor:
                cursor.execute("explain (analyze, buffers) " + sql, params)
                print("\n".join(row[0] for row in cursor.fetchall()), file=sys.stderr)


def has_settled() -> bool:
    """Count the lags, which moves the watermarks, and return whether they are behind the copies.

    A sweep of a consumer may move a watermark meanwhile; the count does not move it then.
    """
    from django.db.models import Min

    from relay.consumer.lag import read_lags
    from relay.consumer.registry import all_consumers
    from relay.models import Settled
    from relay.partitions import read_low_watermark

    read_lags(all_consumers())
    first = Settled.objects.aggregate(first=Min("position"))["first"]
    return first is not None and first > read_low_watermark() - 1000


def measure(shop: RunningShop, viewers: int) -> dict[str, Any]:
    """Return all figures."""
    from django.db import connection

    shop.part_stop("live")
    found: dict[str, Any] = {"sample": {}}
    connect_as("manage.py", "run_live")
    wait_until(has_settled, "the consumers' watermarks do not pass the copies")
    for number in (0, viewers):
        with viewing(shop, number):
            found["sample"][number] = measure_samples()
    connect_as("granian")
    client = log_in()
    found["pages"] = {route: measure_page(client, path) for route, path in list_pages()}
    with connection.cursor() as cursor:
        for name in ("orders_order", "relay_outbox", "relay_cursor"):
            cursor.execute(f"select count(*) from {name}")  # noqa: S608
            found[name] = cursor.fetchone()[0]
    return found


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"{found['orders_order']:,} orders, {found['relay_outbox']:,} outbox rows, {found['relay_cursor']:,} cursors")
    samples = found["sample"]
    print(f"\n{'database time of a sample, ms':<40}" + "".join(f"{f'{n} viewers':>14}" for n in samples))
    for name in next(iter(samples.values())):
        limit = f"   (limit {SAMPLE_LIMIT_MS})" if name == "total" else ""
        print(f"{name:<40}" + "".join(f"{sections.get(name, 0.0):>14.1f}" for sections in samples.values()) + limit)
    print(f"\n{'page':<48}{'status':>8}{'ms':>8}{'database':>10}{'statements':>12}   (limit {PAGE_LIMIT_MS} ms)")
    for route, page in found["pages"].items():
        figures = (
            f"{page['ms']:>8.1f}{page['database_ms']:>10.1f}{page['statements']:>12}" if "ms" in page else f"{'-':>8}"
        )
        mark = " SLOW" if page.get("ms", 0) > PAGE_LIMIT_MS else ""
        print(f"{route:<48}{page['status']:>8}{figures}{mark}")


def main() -> None:
    """Run the benchmark and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    with running() as shop:
        fill(shop, options.orders)
        found = measure(shop, options.viewers)
        show(found)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
