"""Cost of publish() in the transaction that publishes the event.

    python -m benchmarks.publish [--orders 1000] [--runs 3] [--use-running] [--json]

The transaction is place_order, whose single statement stores the idempotency key, the contact, the order, its lines and
its history. The benchmark alternates between the statement with and without the relay's part on one connection; the
limit is 15 % more. The output also shows the time of a round trip to the database, which is most of both figures.
"""

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING, Any, LiteralString
from unittest.mock import patch
from uuid import uuid4

from benchmarks.stage import add_options, prepare

if TYPE_CHECKING:
    from relay import Event


def place_orders(count: int, sku: str) -> dict[str, float]:
    """Place `count` orders with and without publish() in turn, and return the median microseconds of both kinds."""
    from orders.api.serializers import OrderRequest
    from orders.checkout.placement import place_order
    from relay.publisher.outbox import publish_with_cause
    from tests.client import make_order

    def place() -> float:
        request = OrderRequest(data=make_order((sku, 1)))
        request.is_valid(raise_exception=True)
        began = time.perf_counter()
        place_order(idempotency_key=str(uuid4()), request=request.validated_data)
        return (time.perf_counter() - began) * 1e6

    def publish_nothing(cause: LiteralString, event: "Event") -> tuple[str, dict[str, Any]]:
        values = publish_with_cause(cause, event)[1]
        return f"with {cause} select 1 from cause", values  # noqa: S608 - the shop's own statement

    times: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(count):
        with patch("orders.checkout.statement.publish_with_cause", publish_nothing):
            times["without"].append(place())
        times["with"].append(place())
    return {kind: statistics.median(measured) for kind, measured in times.items()}


def measure_round_trip() -> float:
    """Return the median microseconds of `select 1`."""
    from django.db import connection

    times = []
    with connection.cursor() as cursor:
        for _ in range(1000):
            began = time.perf_counter()
            cursor.execute("select 1")
            times.append((time.perf_counter() - began) * 1e6)
    return statistics.median(times)


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1000)
    add_options(parser)
    options = parser.parse_args()
    with prepare(use_running=options.use_running):
        from shop.catalogue.models import Product
        from shop.embedded.setup import load_demo_data

        load_demo_data()
        sku: Any = Product.objects.values_list("sku", flat=True).first()
        place_orders(100, sku)
        runs = [place_orders(options.orders, sku) for _ in range(options.runs)]
        round_trip = measure_round_trip()
    before, after = (statistics.median(run[kind] for run in runs) for kind in ("without", "with"))
    more = (after / before - 1) * 100
    print(f"without publish() {before:>8.0f} us\nwith publish()    {after:>8.0f} us  +{more:.1f} % (limit 15 %)")
    print(f"a round trip      {round_trip:>8.0f} us")
    if options.json:
        print(json.dumps({"without_us": round(before), "with_us": round(after), "more_percent": round(more, 1)}))


if __name__ == "__main__":
    main()
