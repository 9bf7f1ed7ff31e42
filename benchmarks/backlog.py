"""Time to confirm, capture and notify a backlog of orders after an outage of inventory, while new orders arrive.

    python -m benchmarks.backlog [--orders 12000] [--rate 20] [--real-time] [--json]

The benchmark starts a separate shop, stops inventory, places and authorizes the orders of the backlog, and starts
inventory. New orders arrive over HTTP at the rate. The backlog is placed as fast as possible in this process, or with
--real-time over HTTP at the rate. The limit is 10 ms per order of the backlog. For each stage, the table shows the rate
while draining (mu) and its ratio to the rate of new orders (lambda).
"""

import argparse
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import psutil

from benchmarks.stage import running, wait_until
from tests.client import Customer, make_order
from tests.running_shop import RunningShop

LIMIT_SECONDS_PER_ORDER = 0.01
#: Counts the orders that are not yet confirmed, captured and notified by e-mail and SMS.
UNFINISHED = """
select count(*) from orders_order o left join payments_payment p on p.order_id = o.id
where (o.status <> 'confirmed' or p.status is distinct from 'captured'
       or not exists (select from notifications_message m where m.order_id = o.id)
       or exists (select from notifications_message m where m.order_id = o.id and m.status <> 'sent'))
"""
PLACING_THREADS = 4
HTTP_THREADS = 4

# Queries for the time at which each stage has completed an order.
STAGES = {
    "reserved": "select created_at as at, key::uuid as order_id from relay_outbox where type = 'StockReserved.v1'",
    "confirmed": "select confirmed_at as at, id as order_id from orders_order where confirmed_at is not null",
    "relayed": "select published_at as at, key::uuid as order_id from relay_outbox where type = 'OrderConfirmed.v1'",
    "sold": "select created_at as at, order_id from inventory_movement where kind = 'sold'",
    "captured": "select finished_at as at, order_id from payments_attempt a"
    " join payments_payment p on p.id = a.payment_id where a.operation = 'capture'",
    "written": "select min(created_at) as at, order_id from notifications_message group by order_id",
    "sent": "select max(sent_at) as at, order_id from notifications_message where channel <> 'shop' group by order_id",
    "closed": "select at, order_id from orders_transition where event = 'PaymentCaptured'",
}


@dataclass(frozen=True)
class Stage:
    """Orders per second of one stage while draining, and the seconds until its last order of the backlog."""

    mu: float
    mu_over_lambda: float
    last_after_seconds: float


@dataclass
class Report:
    """The results. Rates are in orders per second. `cpu` is in CPU seconds while the backlog drains, by process."""

    waiting: int
    placed_seconds: float
    offered_rate: float = 0
    finished_seconds: float = 0
    limit_seconds: float = 0
    mu: float = 0
    mu_over_lambda: float = 0
    all_drained_seconds: float = 0
    new_orders: int = 0
    new_p50_ms: float = 0
    new_p95_ms: float = 0
    stages: dict[str, Stage] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)


class Catalogue:
    """Generates orders of one to three products, half of them with a phone number. The seed is fixed."""

    def __init__(self, skus: list[str]) -> None:
        self._skus = skus
        self._random = random.Random(4)

    def make_body(self) -> dict[str, Any]:
        """Return the body of an order."""
        skus = self._random.sample(self._skus, self._random.randint(1, 3))
        phone = self._random.choice(["", f"+49 30 {self._random.randrange(10**8):08}"])
        return make_order(*((sku, 1) for sku in skus), phone=phone)


class Ordering:
    """Places orders over HTTP at a constant rate, independent of the response times."""

    def __init__(self, shop: RunningShop, catalogue: Catalogue, rate: float) -> None:
        self.seconds: list[float] = []
        self._customer = Customer(shop.base_url)
        self._catalogue = catalogue
        self._rate = rate
        self._began = time.monotonic()
        self._numbers = itertools.count()
        self._stopping = threading.Event()

    def _order(self) -> None:
        while not self._stopping.is_set():
            due = self._began + next(self._numbers) / self._rate
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                return
            self.seconds.append(self._order_once(self._catalogue.make_body(), str(uuid4())))

    def _order_once(self, body: dict[str, Any], key: str) -> float:
        """Place one order, with retries until there is a response, and return the seconds until then."""
        began = time.monotonic()
        while True:
            try:
                answer = self._customer.place(body, key)
            except OSError:
                time.sleep(0.2)  # the outcome is unknown, and a retry with the same key is safe
            else:
                assert answer.status == 201, answer
                return seconds_since(began)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Place orders in the background while the block runs."""
        with ThreadPoolExecutor(HTTP_THREADS) as threads:
            running = [threads.submit(self._order) for _ in range(HTTP_THREADS)]
            try:
                yield
            finally:
                self._stopping.set()
        for thread in running:
            thread.result()


def place_quickly(bodies: Sequence[dict[str, Any]]) -> None:
    """Place orders in this process with the function that the API calls."""
    from django.db import connection

    from orders.api.serializers import OrderRequest
    from orders.checkout.placement import place_order

    def place_some(first: int) -> None:
        try:
            for body in bodies[first::PLACING_THREADS]:
                request = OrderRequest(data=body)
                request.is_valid(raise_exception=True)
                place_order(idempotency_key=str(uuid4()), request=request.validated_data)
        finally:
            connection.close()

    with ThreadPoolExecutor(PLACING_THREADS) as threads:
        list(threads.map(place_some, range(PLACING_THREADS)))


def count_unfinished(until: Any) -> int:
    """Return the number of orders placed until `until` that are not yet confirmed, captured and notified."""
    waiting: int = read_number(f"{UNFINISHED} and placed_at <= %s", [until])
    return waiting


def read_number(statement: str, parameters: list[Any]) -> Any:
    """Return the single value that the query returns."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


def wait_for_the_others() -> None:
    """Wait until only inventory's events are in flight, which means that each payment is authorized."""
    from shop.management.verification.drain import read_in_flight

    wait_until(lambda: not set(read_in_flight()) - {"events_for_inventory"}, "the other parts have not finished")


def read_cpu(shop: RunningShop) -> dict[str, float]:
    """Return the CPU seconds of each part with its children, and of this process, by name."""
    seconds = {"this benchmark": sum(psutil.Process().cpu_times()[:2])}
    for name, part in shop.list_parts().items():
        if part["pid"]:
            process = psutil.Process(part["pid"])
            seconds[name] = 0.0
            for member in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):  # the PostgreSQL process of a closed connection has ended
                    seconds[name] += sum(member.cpu_times()[:2])
    return seconds


def measure_stages(began: Any, placed_until: Any, rate: float) -> dict[str, Stage]:
    """Return the result of each stage, computed from the timestamps in the database."""
    from django.db import connection

    stages = {}
    with connection.cursor() as cursor:
        cursor.execute("select id from orders_order where placed_at <= %s", [placed_until])
        waited = {order_id for (order_id,) in cursor.fetchall()}
        for name, done in STAGES.items():
            cursor.execute(done)
            times = {order_id: at for at, order_id in cursor.fetchall() if at > began}
            last = max(at for order_id, at in times.items() if order_id in waited)
            seconds = (last - began).total_seconds()
            mu = sum(at <= last for at in times.values()) / seconds
            stages[name] = Stage(mu, mu / rate, seconds)
    return stages


def measure(shop: RunningShop, catalogue: Catalogue, options: argparse.Namespace) -> Report:
    """Create a backlog, drain it, and return the results."""
    shop.part_stop("inventory")
    began = time.monotonic()
    if options.real_time:
        with Ordering(shop, catalogue, options.rate).going_on():
            time.sleep(options.orders / options.rate)
    else:
        place_quickly([catalogue.make_body() for _ in range(options.orders)])
    report = Report(waiting=read_number("select count(*) from orders_order", []), placed_seconds=seconds_since(began))
    wait_for_the_others()
    placed_until = read_number("select clock_timestamp()", [])
    cpu, drain_began, began = read_cpu(shop), placed_until, time.monotonic()
    new = Ordering(shop, catalogue, options.rate)
    with new.going_on():
        shop.part_start("inventory")
        wait_until(lambda: not count_unfinished(placed_until), "the orders of the backlog are not finished")
        report.finished_seconds = seconds_since(began)
        used = {name: seconds - cpu.get(name, 0) for name, seconds in read_cpu(shop).items()}
        new_while_draining = len(new.seconds)
    from benchmarks.outages import percentile, wait_until_drained

    wait_until_drained()
    report.all_drained_seconds = seconds_since(began)
    report.cpu = {name: round(seconds, 1) for name, seconds in used.items() if seconds >= 0.1}
    report.new_orders = len(new.seconds)
    report.offered_rate = new_while_draining / report.finished_seconds
    report.new_p50_ms, report.new_p95_ms = (percentile(new.seconds, p) * 1000 for p in (50, 95))
    report.limit_seconds = report.waiting * LIMIT_SECONDS_PER_ORDER
    report.mu = (report.waiting + new_while_draining) / report.finished_seconds
    report.mu_over_lambda = report.mu / report.offered_rate
    report.stages = measure_stages(drain_began, placed_until, report.offered_rate)
    return report


def seconds_since(began: float) -> float:
    """Return the seconds since `began` on the monotonic clock."""
    return time.monotonic() - began


def print_report(report: Report) -> None:
    """Print the tables."""
    print(
        f"backlog: {report.waiting} orders, placed in {report.placed_seconds:.0f} s;"
        f" new orders: {report.offered_rate:.1f}/s"
    )
    print(f"\n{'':<22}{'seconds':>9}{'limit':>9}")
    print(f"{'backlog finished':<22}{report.finished_seconds:>9.1f}{report.limit_seconds:>9.1f}")
    print(f"{'all drained':<22}{report.all_drained_seconds:>9.1f}")
    print(f"\n{'stage':<22}{'mu /s':>9}{'mu/lambda':>11}{'last after s':>14}")
    for name, stage in report.stages.items():
        print(f"{name:<22}{stage.mu:>9.1f}{stage.mu_over_lambda:>11.1f}{stage.last_after_seconds:>14.1f}")
    print(f"{'whole chain':<22}{report.mu:>9.1f}{report.mu_over_lambda:>11.1f}{report.finished_seconds:>14.1f}")
    orders = report.mu * report.finished_seconds
    print(f"\n{'process':<22}{'CPU s':>9}{'ms per order':>13}")
    for name, seconds in sorted(report.cpu.items(), key=lambda item: -item[1]):
        print(f"{name:<22}{seconds:>9.1f}{seconds * 1000 / orders:>13.2f}")
    total = sum(report.cpu.values())
    print(f"{'all':<22}{total:>9.1f}{total * 1000 / orders:>13.2f}")
    print(
        f"\nnew orders over HTTP: {report.new_orders}, p50 {report.new_p50_ms:.0f} ms, p95 {report.new_p95_ms:.0f} ms"
    )


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=12000)
    parser.add_argument("--rate", type=float, default=20.0, help="orders per second over HTTP")
    parser.add_argument(
        "--real-time", action="store_true", help="place the orders of the backlog over HTTP at the rate"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running() as shop:
        from inventory.services import receive_stock
        from shop.catalogue.models import Product

        skus = list(Product.objects.filter(is_active=True).order_by("sku").values_list("sku", flat=True))
        for sku in skus:
            receive_stock(sku, 100_000, "benchmark")
        report = measure(shop, Catalogue(skus), options)
        print_report(report)
        if options.json:
            print(json.dumps(asdict(report)), flush=True)
        checked = shop.manage("verify", "--wait", "60", timeout=900)
        print(f"\nverify:\n{checked.stdout}{checked.stderr}", file=sys.stderr)
        assert checked.returncode == 0, "verify has found differences"


if __name__ == "__main__":
    main()
