"""The figures of a sample: what waits, how fast the consumers work, and which processes run.

Each section has a time limit. A section that could not be read is None, which pages show as unknown, never as 0.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import Error, connection

from analytics.flink.state import describe_job
from notifications.models import Message
from payments.models import Payment
from relay.consumer.canary import read_canary_ages
from relay.consumer.lag import read_lags
from relay.consumer.registry import all_consumers
from relay.health.arrivals import count_arrivals
from relay.health.backlog import read_unpublished
from relay.health.vacuum import read_holders
from relay.heartbeat import STALE_AFTER_SECONDS, read_processes
from relay.models import ConsumerState, Intervention
from relay.operations.leases import read_holdings
from relay.partitions import read_position
from shop.control.ledger.summary import read_ledger

logger = logging.getLogger(__name__)

#: Time limit of one statement.
QUESTION_SECONDS = 2
#: Holders of vacuum younger than this are normal statements.
HOLDER_SECONDS = 60.0
LATEST = 5
MOST_COUNTED = 10_000

Figures = dict[str, Any]
#: Sections that every sample reads. The others change slowly, and incomplete samples repeat them.
QUICK = ("arrivals", "outbox", "consumers", "processes", "flink")


def read_figures(before: Figures | None = None, *, complete: bool = True) -> Figures:
    """Return all sections by name.

    :param before: the figures of the previous sample: the count of arrivals continues there.
    :param complete: read all sections; otherwise repeat those of `before` that change slowly.
    """
    with limited_statements():
        return read_sections(before, complete=complete)


@contextmanager
def limited_statements() -> Iterator[None]:
    """Limit each statement to QUESTION_SECONDS. A transaction for each section would double their number."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"set statement_timeout = '{QUESTION_SECONDS}s'")
        yield
    finally:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("reset statement_timeout")


def read_sections(before: Figures | None, *, complete: bool) -> Figures:
    """Return all sections by name, or repeat those of `before` that change slowly, unless `complete`."""
    arrivals = read_section("arrivals", lambda: read_arrivals((before or {}).get("arrivals")))
    sections: dict[str, Callable[[], Any]] = {
        "arrivals": lambda: arrivals,
        "outbox": read_outbox,
        "consumers": lambda: read_consumers(arrivals),
        "processes": read_rounds,
        "leases": read_leases,
        "vacuum": read_vacuum,
        "waiting": read_waiting,
        "interventions": read_interventions,
        "ledger": read_ledger,
        **({"flink": describe_job} if settings.ANALYTICS == "flink" else {}),
    }
    return {
        name: before[name] if before and not complete and name not in QUICK else read_section(name, read)
        for name, read in sections.items()
    }


def read_section(name: str, read: Callable[[], Any]) -> Any:
    """Return the result of `read`, or None if the database does not answer in time."""
    try:
        return read()
    except Error as error:
        logger.warning("a section of the sample is missing", extra={"section": name, "error": str(error).strip()})
        return None


def read_arrivals(before: Figures | None) -> Figures:
    """Return the last position, and the number of events by topic that were committed since the count began.

    The count begins with the first sample, and again after a gap. `began` is its first position.
    """
    position = read_position()
    counted = count_arrivals(before["position"], position) if before else None
    if before is None or counted is None:
        return {"began": position, "position": position, "topics": {}}
    known = before["topics"]
    topics = {topic: known.get(topic, 0) + counted.get(topic, 0) for topic in known.keys() | counted.keys()}
    return {"began": before["began"], "position": position, "topics": topics}


def read_outbox() -> Figures:
    """Return the position of the newest event, and the rows that are not in Kafka yet."""
    unpublished = read_unpublished()
    return {
        "position": read_position(),
        "unpublished": unpublished.rows,
        "oldest_seconds": round(unpublished.oldest_seconds, 3),
        "refused": unpublished.refused,
    }


def read_consumers(arrivals: Figures | None) -> Figures:
    """Return, by consumer: its lag, arrived events, parked keys, the age of its newest canary, and its pause."""
    consumers = all_consumers()
    ages = read_canary_ages([consumer.name for consumer in consumers])
    pauses = {state.consumer: state for state in ConsumerState.objects.exclude(paused_at=None)}
    lags = read_lags(consumers, seconds=QUESTION_SECONDS / 4)
    found: Figures = {}
    for consumer in consumers:
        lag = lags[consumer.name]
        pause, age = pauses.get(consumer.name), ages.get(consumer.name)
        found[consumer.name] = {
            "lag": lag.events,
            "keys": lag.keys,
            "exact": lag.exact,
            "parked": lag.parked,
            "parked_events": lag.parked_events,
            "oldest_seconds": round(lag.oldest_seconds, 3),
            "behind_seconds": round(lag.behind_seconds, 3),
            "arrived": arrivals and sum(arrivals["topics"].get(topic, 0) for topic in consumer.topics),
            "canary_seconds": round(age, 3) if age is not None and age != float("inf") else None,
            "paused_by": pause.paused_by if pause else "",
            "paused_at": _format(pause.paused_at) if pause else "",
            "resume_at": _format(pause.resume_at) if pause else "",
            "reason": pause.reason if pause else "",
        }
    return found


def read_rounds() -> list[Figures]:
    """Return the processes with a heartbeat, with the ages of their rounds and the counters that rates need."""
    return [
        {
            "process": process.process,
            "name": process.name,
            "started": round(process.started_at.timestamp(), 3),
            "age": None if process.age is None else round(process.age, 1),
            "tried_age": round(process.tried_age, 1),
            "waiting": process.waiting,
            "fallback": process.fallback or "",
            "counters": {name: process.counters[name] for name in COUNTERS & process.counters.keys()},
        }
        for process in read_processes()
        if process.tried_age < 20 * STALE_AFTER_SECONDS
    ]


#: The counters of processes whose rates a sample contains.
COUNTERS = {"published", "applied", "duplicates"}


def read_leases() -> Figures:
    """Return the number of shards of each relay, and the number of shards without a relay."""
    held: dict[str, int] = {}
    free = 0
    for holding in read_holdings():
        if holding.remaining_seconds > 0:
            held[holding.owner] = held.get(holding.owner, 0) + 1
        else:
            free += 1
    return {"held": held, "free": free}


def read_vacuum() -> list[Figures]:
    """Return the sessions, prepared transactions and slots that hold vacuum back for long."""
    return [
        {"kind": holder.kind, "application": holder.application, "user": holder.user, "state": holder.state}
        | {"pid": holder.pid, "seconds": round(holder.seconds)}
        for holder in read_holders()
        if holder.seconds > HOLDER_SECONDS
    ]


def read_waiting() -> Figures:
    """Return the numbers of payments and messages that wait for a worker, counted up to MOST_COUNTED."""
    payments = Payment.objects.exclude(wanted=Payment.Wanted.nothing)
    messages = Message.objects.filter(status=Message.Status.pending)
    return {"payments": payments[:MOST_COUNTED].count(), "messages": messages[:MOST_COUNTED].count()}


def read_interventions() -> list[Figures]:
    """Return the latest interventions, newest first."""
    rows = Intervention.objects.order_by("-at", "-pk")[:LATEST]
    return [
        {"at": _format(row.at), "actor": row.actor, "action": row.action, "consumer": row.consumer}
        | {"key": row.key, "reason": row.reason}
        for row in rows
    ]


def _format(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""
