"""Time of the relay's statements while the outbox grows.

    python -m benchmarks.growth [--rows 0 1000000 10000000] [--body 200] [--use-running] [--json]

Each size is measured in three situations: with planner statistics from the empty table, after ANALYZE, and while an
open transaction keeps vacuum from removing the dead rows of 20,000 publications. The table shows medians in
milliseconds. The limit is three times the value of the smallest size in the same run. For the newcomer, a consumer that
has applied nothing, the limit is the timeout of a metrics query. 10 million rows need about 10 GB of disk.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

from benchmarks.stage import running

CHUNK = 250_000
EVENTS_PER_KEY = 4
CHURN = 20_000
TOPIC, CONSUMER = "test.library", "growth"
KEYS = [uuid4() for _ in range(1000)]

_GROW = """
insert into relay_outbox (position, topic, key, key_hash, sequence, event_id, type, occurred_at, body, created_at,
                          published_at)
select n, %(topic)s, md5(%(first)s || ':' || (n - %(first)s) / %(per_key)s)::uuid::text,
       (n / %(per_key)s) %% 2147483647, (n - %(first)s) %% %(per_key)s + 1,
       gen_random_uuid(), 'BookLent.v1', now(), rpad('{', %(body)s, 'x'), now(), now()
from generate_series(%(first)s::bigint, %(last)s::bigint) as n
"""
_GROW_STREAMS = """
insert into relay_stream (topic, key, last)
select %(topic)s, md5(%(first)s || ':' || n)::uuid::text, %(per_key)s
from generate_series(0, (%(last)s - %(first)s) / %(per_key)s) as n
"""
_GROW_CURSORS = """
insert into relay_cursor (consumer, topic, key, last)
select %(consumer)s, %(topic)s, md5(%(first)s || ':' || n)::uuid::text, %(per_key)s
from generate_series(0, (%(last)s - %(first)s) / %(per_key)s) as n
"""
_PUBLISHED = "update relay_outbox set published_at = now() where position > %(from)s and published_at is null"
_APPLIED = """
insert into relay_cursor (consumer, topic, key, last)
select 'growth', topic, key, max(sequence) from relay_outbox where position > %(from)s group by topic, key
on conflict (consumer, topic, key) do update set last = excluded.last
"""
_LOW_MARKS = """
insert into relay_shardlease (shard, owner, epoch, until, low_mark)
select shard, 'growth', 1, 'infinity', %(to)s from generate_series(0, 15) as shard
on conflict (shard) do update set low_mark = excluded.low_mark
"""


def run(statement: str, **values: Any) -> None:
    """Run an SQL statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def grow(first: int, last: int, body: int) -> None:
    """Add published and applied rows at the positions `first` to `last`, with bodies of `body` bytes."""
    from relay.partitions import ensure_partitions, list_partitions

    run("set synchronous_commit = off; set statement_timeout = 0")
    for start in range(first, last + 1, CHUNK):
        end = min(start + CHUNK - 1, last)
        values = {"topic": TOPIC, "first": start, "last": end, "per_key": EVENTS_PER_KEY}
        run("select setval('relay_outbox_position_seq', %(to)s)", to=end)
        ensure_partitions()
        for partition in list_partitions():
            run(f"alter table {partition.name} set (autovacuum_enabled = false)")
        run(_GROW, body=body, **values)
        run(_GROW_STREAMS, **values)
        run(_GROW_CURSORS, consumer=CONSUMER, **values)
    run("set synchronous_commit = on")
    run("checkpoint")


def measure_median(work: Callable[[], object], times: int) -> float:
    """Return the median duration of `times` calls of `work` in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def publish_some(count: int) -> None:
    """Publish `count` events of 1,000 keys, each in a separate transaction."""
    from django.db import transaction

    from relay import publish
    from tests.relay.events import BookLent

    for number in range(count):
        with transaction.atomic():
            publish(BookLent(book=KEYS[number % len(KEYS)]))


def churn() -> None:
    """Publish CHURN events, 1,000 per transaction."""
    from django.db import transaction

    from relay import publish_many
    from tests.relay.events import BookLent

    for _ in range(CHURN // len(KEYS)):
        with transaction.atomic():
            publish_many([BookLent(book=key) for key in KEYS])


def catch_up(position: int) -> int:
    """Mark rows above `position` as published and applied, raise the low watermarks, and return the last position."""
    from relay.partitions import read_position

    last = read_position()
    run(_PUBLISHED, **{"from": position})
    run(_APPLIED, **{"from": position})
    run(_LOW_MARKS, to=last)
    return last


def measure(rows: int, situation: str) -> dict[str, Any]:
    """Return the time of each statement with a table of `rows` rows."""
    from relay.consumer.lag import read_lag
    from relay.forwarder.reader import Reader
    from relay.health.backlog import read_unpublished
    from relay.partitions import read_position

    last = catch_up(rows)
    reader = Reader(last)
    figures = {"poll": measure_median(lambda: reader.read(range(16)), 101)}
    figures["publish"] = measure_median(lambda: publish_some(1), 101)
    # A relay repeats this read above the low watermark to find rows that were committed late.
    figures["rescan_101"] = measure_median(lambda: reader.read(range(16)), 31)
    figures["unpublished"] = measure_median(read_unpublished, 31)
    figures["lag"] = measure_median(lambda: read_lag(make_consumer()), 31)
    assert read_lag(make_consumer()).events >= 101, read_lag(make_consumer())
    figures["newcomer"] = measure_median(lambda: read_lag(make_consumer("newcomer")), 5)
    waiting = read_lag(make_consumer("newcomer")).events
    assert 0.9 <= waiting / read_position() <= 1.1, waiting
    catch_up(last)
    return {"rows": rows, "situation": situation, "position": read_position(), **figures}


def make_consumer(name: str = CONSUMER) -> Any:
    """Return a consumer of the library's events."""
    from relay import Consumer
    from tests.relay.events import BookLent

    consumer = Consumer(name)
    consumer.on(BookLent)(lambda event: None)
    return consumer


def measure_size(rows: int) -> list[dict[str, Any]]:
    """Return the results for the three situations."""
    lines = [measure(rows, "stale")]
    run("analyze relay_outbox")
    run("analyze relay_stream, relay_cursor")
    lines.append(measure(rows, "analyzed"))
    from django.db import connection

    holder = connection.copy()
    with holder.cursor() as cursor:
        cursor.execute("set idle_in_transaction_session_timeout = 0")
        cursor.execute("begin isolation level repeatable read")
        cursor.execute("select count(*) from relay_shardlease")
        position = lines[-1]["position"]
        churn()
        catch_up(position)
        lines.append(measure(rows, "held back"))
        cursor.execute("rollback")
    holder.close()
    return lines


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 1_000_000, 10_000_000])
    parser.add_argument(
        "--body", type=int, default=200, help="Size of each event's body in bytes (default: %(default)s)."
    )
    parser.add_argument(
        "--use-running",
        action="store_true",
        help="Use the PostgreSQL server of DATABASE_URL, with a separate database.",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with nullcontext() if options.use_running else running("postgres"):
        lines = measure_all(sorted(options.rows), options.body)
    if options.json:
        print(json.dumps(lines))


def measure_all(sizes: list[int], body: int) -> list[dict[str, Any]]:
    """Return the results for all `sizes`, measured in a temporary database."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    settings.RELAY = {**settings.RELAY, "EVENTS": ["tests.relay.events"]}
    with connection._nodb_cursor() as cursor:
        cursor.execute("drop database if exists relay_growth")
        cursor.execute("create database relay_growth")
    try:
        connection.settings_dict["NAME"] = "relay_growth"
        call_command("migrate", "relay", verbosity=0)
        return measure_sizes(sizes, body)
    finally:
        connection.close()
        with connection._nodb_cursor() as cursor:
            cursor.execute("drop database relay_growth")


def measure_sizes(sizes: list[int], body: int) -> list[dict[str, Any]]:
    """Grow the table from size to size, measure each size, and print each line immediately."""
    from relay.health.metrics import QUESTION_SECONDS

    names = ["poll", "rescan_101", "publish", "unpublished", "lag", "newcomer"]
    print(f"{'rows':>10} {'situation':<10}" + "".join(f"{name + ' ms':>16}" for name in names))
    lines: list[dict[str, Any]] = []
    at = 0
    for rows in sizes:
        began = time.monotonic()
        grow(at + 1, rows, body)
        print(f"grown to {rows} rows in {time.monotonic() - began:.0f} s", file=sys.stderr)
        for line in measure_size(rows):
            lines.append(line)
            first = lines[(len(lines) - 1) % 3]
            limits = {name: 3 * first[name] for name in names} | {"newcomer": QUESTION_SECONDS * 1000}
            shown = "".join(f"{line[name]:>8.2f} / {limits[name]:<5.4g}" for name in names)
            print(f"{line['rows']:>10} {line['situation']:<10} {shown}", flush=True)
        at = max(rows, lines[-1]["position"])
    return lines


if __name__ == "__main__":
    main()
