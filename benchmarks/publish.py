"""What publish() costs the transaction of its cause.

    python -m benchmarks.publish [--orders 1000] [--runs 3] [--use-running] [--json]

The transaction is like an order's: a row with its idempotency key, three lines in one statement, one row of history.
With and without take turns, one connection; the limit is 15 % more.
"""

import argparse
import json
import statistics
import time
from uuid import uuid4

from benchmarks.stage import add_options, prepare

_TABLES = """
create table bench_order (id uuid primary key, number text unique, status text, total bigint, placed_at timestamptz);
create table bench_line (id bigserial primary key, order_id uuid references bench_order, sku text, quantity int);
create index on bench_line (order_id);
create table bench_history (id bigserial primary key, order_id uuid references bench_order, event text, at timestamptz);
"""


def place_orders(count: int, *, publishing: bool) -> float:
    """Place orders one after another and return the median of a transaction in microseconds."""
    from django.db import connection, transaction

    from relay.outbox import publish
    from shop.events import OrderShipped

    times = []
    for _ in range(count):
        order = uuid4()
        began = time.perf_counter()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select id from bench_order where number = %s", [str(order)])
            cursor.fetchone()
            cursor.execute("insert into bench_order values (%s, %s, 'placed', 100, now())", [order, str(order)])
            cursor.execute(
                "insert into bench_line (order_id, sku, quantity) select %s, unnest(%s::text[]), 1",
                [order, ["SKU-1", "SKU-2", "SKU-3"]],
            )
            cursor.execute("insert into bench_history (order_id, event, at) values (%s, 'placed', now())", [order])
            if publishing:
                publish(OrderShipped(order_id=order, number="N1", contact_id=order))
        times.append((time.perf_counter() - began) * 1e6)
    return statistics.median(times)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1000)
    add_options(parser)
    options = parser.parse_args()
    with prepare(use_running=options.use_running):
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(_TABLES)
        place_orders(100, publishing=True)
        without, with_publish = [], []
        for _ in range(options.runs):
            without.append(place_orders(options.orders, publishing=False))
            with_publish.append(place_orders(options.orders, publishing=True))
    before, after = statistics.median(without), statistics.median(with_publish)
    more = (after / before - 1) * 100
    print(f"without publish() {before:>8.0f} us\nwith publish()    {after:>8.0f} us  +{more:.1f} % (limit 15 %)")
    if options.json:
        print(json.dumps({"without_us": round(before), "with_us": round(after), "more_percent": round(more, 1)}))


if __name__ == "__main__":
    main()
