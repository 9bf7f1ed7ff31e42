"""Flink's job: seconds until it runs, memory, events per second of a backlog, delay of a row, and a killed process.

    python -m benchmarks.flink [--events 42000] [--json]

The benchmark starts PostgreSQL, Kafka, the relay, the consumer and Flink. The backlog waits in Kafka while the task
manager is stopped; its clock runs from the first to the last event in the tables. For the delay, product views are
committed at 500 per second. Then a task manager is killed with SIGKILL; its clock ends when the tables and the
consumer's have the same checksums and the job is no longer recovering.
"""

import argparse
import json
import os
import re
import statistics
import time
from typing import TYPE_CHECKING

import psutil

from benchmarks.facts import PER_SECOND, measure_delay
from benchmarks.stage import running, wait_until

if TYPE_CHECKING:
    from tests.running_shop import RunningShop

FLINK_PARTS = ("flink-jobs", "flink-tasks", "flinkwatch")
PARTS = ("postgres", "kafka", "valkey", "relay", "analytics", "celery", "beat", *FLINK_PARTS)
LIMITS = {
    "start_seconds": "<= 45 s",
    "memory_mb": "<= 1,200 MB",
    "delay_p95_ms": "<= 3,000 ms",
    "exact_seconds": "<= 60 s",
}


def measure_start(shop: "RunningShop") -> float:
    """Return the seconds from the topics, after which Flink starts, until the job runs."""
    done = dict(re.findall(r"(\S+) is (?:ready|done) after ([\d.]+) s", shop.screen.read_text(errors="replace")))
    return float(done["flink-tasks"]) - max(float(done["topics"]), float(done["database"]))


def measure_memory(shop: "RunningShop") -> float:
    """Return the resident memory of Flink's parts in MB, at most so far for the two JVM processes."""
    pids = [shop.list_parts()[name]["pid"] for name in FLINK_PARTS]
    watcher = psutil.Process(pids.pop()).memory_full_info().pss / 1e6
    peaks = (re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{pid}/status").read()) for pid in pids)  # noqa: SIM115, PTH123
    return watcher + sum(int(peak[1]) * 1024 / 1e6 for peak in peaks if peak)


def count_events() -> int:
    """Return the number of events in Flink's tables."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select coalesce(sum(count), 0) from analytics_flink.analytics_minute")
        return int(cursor.fetchone()[0])


def measure_backlog(shop: "RunningShop", count: int) -> float:
    """Return the events per second of about `count` events that waited in Kafka."""
    from datetime import UTC, datetime

    from django.db import transaction

    from benchmarks.traffic import make_events
    from relay.models import Outbox
    from relay.publisher.outbox import publish_many

    shop.part_stop("flink-tasks")
    events = make_events(count, datetime(2026, 5, 4, 12, tzinfo=UTC))
    for start in range(0, len(events), 5000):
        with transaction.atomic():
            publish_many(events[start : start + 5000])
    wait_until(lambda: not Outbox.objects.filter(published_at=None).exists(), "the relay sends too slowly")
    wait_until_exact_except_flink()
    before = count_events()
    shop.part_start("flink-tasks")
    wait_until(lambda: count_events() > before, "Flink reads nothing", every=0.02)
    began = time.monotonic()
    first = count_events()
    wait_until(lambda: count_events() >= before + len(events), "Flink reads too slowly", every=0.05)
    return (before + len(events) - first) / (time.monotonic() - began)


def wait_until_exact_except_flink() -> None:
    """Wait until the consumer has applied everything, so that it does not share the cores with Flink."""
    from django.utils import timezone

    from analytics.completeness import read_completeness

    wait_until(lambda: not read_completeness(since=timezone.now()).is_waiting, "the consumer is too slow")


def measure_recovery(shop: "RunningShop") -> float:
    """Return the seconds from the kill of the task manager until the tables are exact."""
    from analytics.flink.comparison import find_differences
    from analytics.models import FlinkJob

    shop.part_kill("flink-tasks")
    began = time.monotonic()
    measure_delay((), "public")  # traffic meanwhile
    wait_until(lambda: FlinkJob.objects.get().state == "running" and not find_differences(), "Flink differs")
    return time.monotonic() - began


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=42_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ["ANALYTICS"] = "flink"
    with running(*PARTS) as shop:
        figures = {"start_seconds": measure_start(shop)}
        measure_delay((), "analytics_flink")  # the compiler of Java needs some seconds of work
        cuts = statistics.quantiles(measure_delay((), "analytics_flink"), n=100)
        figures |= {"delay_p50_ms": cuts[49] * 1e3, "delay_p95_ms": cuts[94] * 1e3}
        figures["backlog_per_second"] = measure_backlog(shop, options.events)
        figures["exact_seconds"] = measure_recovery(shop)
        figures["memory_mb"] = measure_memory(shop)
    print(f"with {PER_SECOND} events/s:")
    for name, value in figures.items():
        print(f"{name:<20}{value:>10,.0f}   {LIMITS.get(name, '')}")
    if options.json:
        print(json.dumps({name: round(value, 1) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
