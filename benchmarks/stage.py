"""Environment of the benchmarks: a separate shop or some of its parts, and outbox rows that SQL generates."""

import argparse
import multiprocessing
import os
import shutil
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from tests.running_shop import RunningShop

# Each run uses a new topic, because a running broker may contain topics of earlier runs.
TOPIC = f"bench.relay.{uuid4().hex[:8]}"
KEYS = 10_000

_FILL = """
with event as (
    select number, key, key_hash from generate_series(1, %(count)s) number
    join unnest(%(keys)s::text[], %(hashes)s::int[]) with ordinality as k (key, key_hash, place)
        on place = 1 + number %% %(width)s),
stream as (
    insert into relay_stream as t (topic, key, last)
    select %(topic)s, key, count(*) from event group by key order by key collate "C"
    on conflict (topic, key) do update set last = t.last + excluded.last returning key, last)
insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, created_at)
select %(topic)s, key, key_hash,
       last - count(*) over (partition by key) + row_number() over (partition by key order by number),
       gen_random_uuid(), 'BenchmarkRun.v1', clock_timestamp(),
       '{"number": ' || number || ', "padding": "' || left(repeat(md5(number::text) || md5((number * 7)::text), 10),
                                                           %(size)s - 40) || '"}',
       clock_timestamp()
from event join stream using (key) order by number
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all relay benchmarks share."""
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--use-running", action="store_true", help="use the PostgreSQL and Kafka of PORT and VAR_DIR")
    parser.add_argument("--runs", type=int, default=3, help="number of runs; the table shows the median")


def wait_until(is_done: Callable[[], object], complaint: str, *, every: float = 0.5, longest: float = 1200.0) -> None:
    """Call `is_done` every `every` seconds until it returns true.

    :raises AssertionError: it did not return true within `longest` seconds; the message is `complaint`.
    """
    deadline = time.monotonic() + longest
    while not is_done():
        if time.monotonic() > deadline:
            raise AssertionError(complaint)
        time.sleep(every)


@contextmanager
def running(*only: str) -> "Iterator[RunningShop]":
    """Start the shop, or only the parts `only`, in an empty folder. After the block, stop it and delete the folder."""
    import django

    import tests.plugin  # noqa: F401 - chooses ports and folder before the settings are read
    from tests.running_shop import RunningShop

    var_dir = Path(os.environ["VAR_DIR"]).with_name("bench")
    os.environ["VAR_DIR"] = str(var_dir)
    shutil.rmtree(var_dir, ignore_errors=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a SIGTERM also stops the shop
    django.setup()
    shop = RunningShop(port=int(os.environ["PORT"]), var_dir=var_dir, only=only)
    shop.start(timeout=240)
    try:
        yield shop
    finally:
        shop.stop()
        shutil.rmtree(var_dir, ignore_errors=True)


def connect_as(*command: str) -> None:
    """Let this thread use the database with the options of the process `command`."""
    from django.db import connection

    from shop.environment import describe_session

    connection.close()
    connection.settings_dict["OPTIONS"] |= describe_session([*command])


@contextmanager
def prepare(*, use_running: bool) -> Iterator[None]:
    """Start PostgreSQL and Kafka, or use running ones, and create an empty database and a topic."""
    with nullcontext() if use_running else running("postgres", "kafka"):
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
        django.setup()
        from django.conf import settings
        from django.db import connection

        from relay.operations.cluster import create_topics

        settings.RELAY = {**settings.RELAY, "CANARY_SECONDS": 0}
        try:
            connection.creation.create_test_db(verbosity=0, autoclobber=True)
            create_topics([TOPIC])
            yield
            connection.creation.destroy_test_db("shop", verbosity=0)
        finally:
            connection.close()


def fill_outbox(count: int, size: int = 600, keys: int = KEYS, *, empty: bool = True) -> None:
    """Add `count` unpublished events of about `size` bytes with `keys` keys. With `empty`, empty the outbox first."""
    from django.db import connection

    from relay.publisher.outbox import hash_key

    names = [f"key-{number:06}" for number in range(keys)]
    values: dict[str, Any] = {"count": count, "size": size, "topic": TOPIC, "width": keys, "keys": names}
    with connection.cursor() as cursor:
        if empty:
            cursor.execute("truncate relay_outbox, relay_stream, relay_shardlease, relay_relaymember")
        cursor.execute("set statement_timeout = '5min'")
        cursor.execute(_FILL, {**values, "hashes": [hash_key(name) for name in names]})
        cursor.execute("reset statement_timeout")
        cursor.execute("checkpoint")


@contextmanager
def run_relays(count: int) -> Iterator[list[Event]]:
    """Run `count` relays in separate processes until the block ends. Yield the events that each stop one relay."""
    from django.db import connection

    from relay.models import RelayMember

    context = multiprocessing.get_context("fork")
    stopping = [context.Event() for _ in range(count)]
    connection.close()  # forked children must not share it
    relays = [context.Process(target=_serve, args=(event,)) for event in stopping]
    for relay in relays:
        relay.start()
    try:
        deadline = time.monotonic() + 30
        while RelayMember.objects.count() < count and time.monotonic() < deadline:
            time.sleep(0.05)
        yield stopping
    finally:
        for event in stopping:
            event.set()
        for relay in relays:
            relay.join(15)


def _serve(stopping: Event) -> None:
    from relay.forwarder.forwarder import Forwarder

    Forwarder().run(stopping)  # type: ignore[arg-type]


def measure(work: Callable[[], int]) -> tuple[float, float]:
    """Return the events per second of `work`, and the CPU microseconds of this process per event."""
    began, cpu = time.perf_counter(), time.process_time()
    count = work()
    return count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6


def find_medians(figures: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the median of each column."""
    return statistics.median(f[0] for f in figures), statistics.median(f[1] for f in figures)
