"""Latency from the commit of an event to its append in Kafka's log.

    python -m benchmarks.latency [--rates 100 500 1000] [--seconds 10] [--use-running] [--json]

Several connections commit single events at a constant rate, and the relay runs in a separate process. The latency is
the time from the return of the commit to the broker's timestamp (message.timestamp.type=LogAppendTime, in whole
milliseconds). The limits are 10 ms for the median and 30 ms for the 99th percentile.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Collection
from typing import Any
from uuid import uuid4

from benchmarks.stage import TOPIC, add_options, fill_outbox, prepare, run_relays

CONNECTIONS = 8
LIMITS = {"p50": 10.0, "p99": 30.0}

_INSERT = """
with stream as (insert into relay_stream as t (topic, key, last) values (%(topic)s, %(key)s, 1)
                on conflict (topic, key) do update set last = t.last + 1 returning last)
insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, created_at)
select %(topic)s, %(key)s, %(hash)s, last, %(id)s, 'BenchmarkRun.v1', clock_timestamp(), %(body)s, clock_timestamp()
from stream
"""


def commit_events(rate: float, seconds: float, commits: dict[str, float]) -> None:
    """Commit events at `rate` per second for `seconds`. Add the Unix time of each commit to `commits` by event id."""
    from django.db import connection

    from relay.publisher.outbox import hash_key

    def write(number: int) -> None:
        due = time.monotonic() + number / rate
        end = time.monotonic() + seconds
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            key, event_id = f"key-{uuid4().int % 1000:03}", str(uuid4())
            values: dict[str, Any] = {
                "topic": TOPIC,
                "key": key,
                "hash": hash_key(key),
                "id": event_id,
                "body": f'"{"x" * 600}"',
            }
            with connection.cursor() as cursor:
                cursor.execute(_INSERT, values)
            commits[event_id] = time.time()
            due += CONNECTIONS / rate
        connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_appends(wanted: Collection[str]) -> dict[str, float]:
    """Return the broker's Unix time of each event in the log by event id. Wait at most 30 s for the `wanted` ids."""
    from kafka import KafkaConsumer, TopicPartition

    from relay.process.connection import read_connection

    consumer = KafkaConsumer(**read_connection(), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(TOPIC, number) for number in consumer.partitions_for_topic(TOPIC) or ()])
    consumer.seek_to_beginning()
    appends: dict[str, float] = {}
    deadline = time.monotonic() + 30
    while not appends.keys() >= set(wanted) and time.monotonic() < deadline:
        for records in consumer.poll(500, max_records=5000).values():
            for record in records:
                appends.setdefault(dict(record.headers)["ce_id"].decode(), record.timestamp / 1000)
    consumer.close()
    return appends


def stamp_by_broker() -> None:
    """Configure the topic so that the broker sets the timestamps."""
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    from relay.process.connection import read_connection

    admin = KafkaAdminClient(**read_connection())
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, {"message.timestamp.type": "LogAppendTime"})])
    admin.close()


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=[100, 500, 1000])
    parser.add_argument("--seconds", type=float, default=10)
    add_options(parser)
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with prepare(use_running=options.use_running):
        stamp_by_broker()
        fill_outbox(1)
        commits: dict[str, float] = {}
        with run_relays(1):
            commit_events(50, 2, commits)  # warm up
            phases: dict[float, list[dict[str, float]]] = {}
            for rate in options.rates:
                phases[rate] = [{} for _ in range(options.runs)]
                for phase in phases[rate]:
                    commit_events(rate, options.seconds, phase)
                    commits |= phase
            time.sleep(1)
        appends = read_appends(commits)
        for rate, runs in phases.items():
            quantiles = []
            for phase in runs:
                times = [(appends[event_id] - committed) * 1000 for event_id, committed in phase.items()]
                cuts = statistics.quantiles(times, n=100, method="inclusive")
                quantiles.append((cuts[49], cuts[98]))
            p50, p99 = (statistics.median(column) for column in zip(*quantiles, strict=True))
            figures[f"{rate:g}"] = {"p50": round(p50, 1), "p99": round(p99, 1)}
    print(f"{'events/s':>10}{'p50 ms':>9}{'limit':>7}{'p99 ms':>9}{'limit':>7}")
    for name, measured in figures.items():
        print(f"{name:>10}{measured['p50']:>9.1f}{LIMITS['p50']:>7.0f}{measured['p99']:>9.1f}{LIMITS['p99']:>7.0f}")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
