"""Events per second of one relay and of two, and a check of the order while a third relay joins and leaves.

    python -m benchmarks.relays [--events 200000] [--runs 3] [--use-running] [--json]

The time is measured by the database's clock, from the first published row of a backlog to the last.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict

from benchmarks.stage import TOPIC, add_options, fill_outbox, prepare, run_relays, wait_until


def wait_for_marks(count: int) -> None:
    """Wait until `count` rows are published."""
    from relay.models import Outbox

    marked = Outbox.objects.exclude(published_at=None)
    wait_until(lambda: marked.count() >= count, f"fewer than {count} rows are published", every=0.2, longest=300)


def wait_for_the_last_marks() -> None:
    """Wait until all rows are published. Do not count them, because counting would slow the relays down."""
    from relay.models import Outbox

    waiting = Outbox.objects.filter(published_at=None).values_list("position").order_by("-position")
    wait_until(lambda: waiting.first() is None, "not all rows are published", every=0.2, longest=300)


def read_rate() -> float:
    """Return the events per second between the first published row and the last."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) / extract(epoch from max(published_at) - min(published_at))::float8 from relay_outbox"
        )
        return float(cursor.fetchone()[0])


def drain(events: int, relays: int) -> float:
    """Publish a backlog with `relays` relays, after they have taken their shards, and return the events per second."""
    from relay.models import ShardLease

    fill_outbox(0)
    with run_relays(relays):
        share = 16 // relays
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            owners = list(ShardLease.objects.exclude(owner="").values_list("owner", flat=True))
            if len(owners) == 16 and all(owners.count(owner) == share for owner in set(owners)):
                break
            time.sleep(0.1)
        fill_outbox(events, empty=False)
        wait_for_the_last_marks()
    return read_rate()


def check_order(events: int) -> int:
    """Publish a backlog with two relays while a third joins and leaves. Return the number of events out of order."""
    from relay.operations.cluster import read_log

    fill_outbox(events)
    with run_relays(2):
        wait_for_marks(events // 10)
        with run_relays(1):
            wait_for_marks(events // 2)
        wait_for_marks(events)
    last: dict[str, int] = defaultdict(int)
    wrong = 0
    for delivery in read_log([TOPIC]):
        if delivery.sequence > last[delivery.key] + 1:
            wrong += 1
        last[delivery.key] = max(last[delivery.key], delivery.sequence)
    return wrong


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    add_options(parser)
    options = parser.parse_args()
    with prepare(use_running=options.use_running):
        # Check the order first, because it requires that each key in the log begins at 1.
        wrong = check_order(options.events)
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(options.runs):
            for relays, measured in rates.items():
                measured.append(drain(options.events, relays))
    one, two = (statistics.median(rates[relays]) for relays in (1, 2))
    print(f"one relay   {one:>10,.0f} events/s")
    print(f"two relays  {two:>10,.0f} events/s  {two / one:.2f}x (limit 1.1x)")
    print(f"out of order while a third joined and left: {wrong} (limit 0)")
    if options.json:
        print(json.dumps({"one": round(one), "two": round(two), "out_of_order": wrong}))


if __name__ == "__main__":
    main()
