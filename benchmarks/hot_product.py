"""Orders for the last 100 pieces of one product by 5,000 buyers: rate of the answers, and a check for overselling.

    python -m benchmarks.hot_product [--buyers 5000] [--pieces 100] [--runs 3] [--use-running] [--json]

Eight threads place the orders with place_order. Then a relay and two processes of inventory's consumer handle the
events through Kafka. The reserved orders are confirmed and sold, and then the backorders are rejected. For comparison,
the same number of buyers orders 1,000 products that are not scarce. The time of the answers is measured from the first
answer to the last before the confirmation.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from benchmarks.stage import add_options, prepare, run_relays

CONSUMERS = 2
BUYING_THREADS = 8
SPREAD = 1000


def place_orders(skus: list[str]) -> float:
    """Place one order for each of `skus`, which may repeat, and return the orders per second."""
    from django.db import connection

    from orders.api.serializers import OrderRequest
    from orders.checkout.placement import place_order
    from tests.client import make_order

    def buy(share: list[str]) -> None:
        for sku in share:
            request = OrderRequest(data=make_order((sku, 1)))
            request.is_valid(raise_exception=True)
            place_order(idempotency_key=str(uuid4()), request=request.validated_data)
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(BUYING_THREADS) as pool:
        list(pool.map(buy, [skus[n::BUYING_THREADS] for n in range(BUYING_THREADS)]))
    return len(skus) / (time.perf_counter() - began)


@contextmanager
def run_inventory() -> Iterator[None]:
    """Run inventory's consumer in CONSUMERS processes until the block ends."""
    from django.db import connection

    context = multiprocessing.get_context("fork")
    stopping = context.Event()
    connection.close()  # forked children must not share it
    processes = [context.Process(target=_consume, args=(stopping,)) for _ in range(CONSUMERS)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        stopping.set()
        for process in processes:
            process.join(20)


def _consume(stopping: Any) -> None:
    from inventory.handlers import consumer
    from relay.consumer.receiver import Receiver

    Receiver(consumer).run(stopping)


def wait_for(query: str, count: int, seconds: float = 300) -> None:
    """Wait at most `seconds` until `query` returns `count`."""
    until = time.monotonic() + seconds
    while (found := run_query(query)[0][0]) != count:
        assert time.monotonic() < until, f"{found} instead of {count}: {query}"
        time.sleep(0.1)


def run_query(query: str) -> list[tuple[Any, ...]]:
    """Return the rows of `query`."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall() if cursor.description else []


_COUNT_ANSWERS = "select count(*) from relay_outbox where topic = 'shop.inventory'"
# Backorders wait until the reserved orders are confirmed.
_COUNT_HANDLED = (
    "select (select count(*) from relay_outbox where topic = 'shop.inventory')"
    " + (select count(distinct order_id) from inventory_backorder)"
)
_TIME_ANSWERS = (
    "select extract(epoch from max(created_at) - min(created_at)) from relay_outbox where topic = 'shop.inventory'"
)


def sell(skus: list[str], pieces: dict[str, int]) -> dict[str, float]:
    """Place an order for each of `skus` with the stock `pieces`, check the result, and return the figures."""
    from inventory.services import receive_opening_stock
    from inventory.verification import find_stock_differences

    run_query(
        "truncate inventory_stock, inventory_reservation, inventory_backorder, inventory_movement, orders_order,"
        " relay_cursor, relay_outbox, relay_stream cascade"
    )
    receive_opening_stock(pieces)
    figures = {"orders_per_second": place_orders(skus)}
    with run_relays(1), run_inventory():
        wait_for(_COUNT_HANDLED, len(skus))
        ((seconds,),), ((answers,),) = run_query(_TIME_ANSWERS), run_query(_COUNT_ANSWERS)
        reserved = confirm_reserved()
        wait_for("select count(*) from inventory_reservation where state = 'sold'", reserved)
        wait_for(_COUNT_ANSWERS, len(skus))
    assert reserved == min(len(skus), sum(pieces.values())), reserved
    assert list(find_stock_differences()) == []
    return {**figures, "answers_per_second": answers / float(seconds), "sold": reserved}


def confirm_reserved() -> int:
    """Confirm all orders that have a reservation, as the events would, and return their number."""
    from django.db import transaction

    from orders.lifecycle.saga import Happening
    from orders.lifecycle.transitions import Move, advance_orders

    ids = [row[0] for row in run_query("select order_id from inventory_reservation order by order_id")]
    for start in range(0, len(ids), 500):
        for happening in (Happening.STOCK_RESERVED, Happening.PAYMENT_AUTHORIZED):
            with transaction.atomic():
                advance_orders([Move(order_id, happening, uuid4()) for order_id in ids[start : start + 500]])
    return len(ids)


def measure(buyers: int, pieces: int, runs: int) -> dict[str, dict[str, float]]:
    """Return the median figures for the hot product and for the other products."""
    from relay.operations.cluster import create_topics
    from relay.publisher.topics import known_topics
    from shop.catalogue.models import Category, Product

    create_topics(known_topics())
    category = Category.objects.create(slug="drop", name="Drop")
    names = ["HOT", *[f"SPREAD-{n}" for n in range(SPREAD)]]
    Product.objects.bulk_create(Product(sku=sku, name=sku, price=4990, category=category) for sku in names)
    spread = [names[1 + n % SPREAD] for n in range(buyers)]
    kinds = {"hot": (["HOT"] * buyers, {"HOT": pieces}), "spread": (spread, dict.fromkeys(names[1:], buyers))}
    figures: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(runs):
        for kind, (skus, stock) in kinds.items():
            figures[kind].append(sell(skus, stock))
    return {
        kind: {name: statistics.median(run[name] for run in measured) for name in measured[0]}
        for kind, measured in figures.items()
    }


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buyers", type=int, default=5000)
    parser.add_argument("--pieces", type=int, default=100)
    add_options(parser)
    options = parser.parse_args()
    with prepare(use_running=options.use_running):
        figures = measure(options.buyers, options.pieces, options.runs)
    print(f"{options.buyers:,} buyers, {options.pieces} pieces of the hot product, median of {options.runs}")
    print(f"{'':<10}{'orders/s':>10}{'answers/s':>12}{'sold':>8}")
    for kind, row in figures.items():
        rates = f"{row['orders_per_second']:>10,.0f}{row['answers_per_second']:>12,.0f}"
        print(f"{kind:<10}{rates}{row['sold']:>8,.0f}")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
