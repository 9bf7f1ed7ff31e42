"""The verdict on a sample: whether the shop is well, and one sentence for each thing that is not."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings

from relay.heartbeat import STALE_AFTER_SECONDS
from shop.control.ledger.summary import describe_findings

#: A consumer or the relay whose oldest event waits longer than this is late.
LATE_SECONDS = 10.0
#: The beginning of the error of a process that waits for Kafka.
NO_KAFKA = "BrokerUnavailable"
#: Processes that must run.
PROCESSES: tuple[str, ...] = (
    "live",
    "relay",
    "orders",
    "inventory",
    "payments",
    "notifications",
    "analytics",
    "bought_together",
    "celery",
    *(("flinkwatch",) if settings.ANALYTICS == "flink" else ()),
)
#: The state of a finding about Flink's job by the job's state. A job that starts or runs has none.
_FLINK = {"catching up": "late", "recovering": "late", "failed": "down", "away": "down"}


class Finding(NamedTuple):
    """Something that a person should know. `state` is down, paused, late or unknown."""

    part: str
    state: str
    text: str


def judge(figures: dict[str, Any], at: datetime) -> list[Finding]:
    """Return what is wrong in the sample that was read at `at`, the worst first. An empty list means: all is well."""
    found = [*_judge_sections(figures), *_judge_kafka(figures), *_judge_processes(figures, at), *_judge_outbox(figures)]
    for name, consumer in (figures["consumers"] or {}).items():
        found += _judge_consumer(figures, name, consumer, {finding.part for finding in found})
    flink = figures.get("flink")
    if flink and flink["state"] in _FLINK:
        error = f" {flink['detail']}" if flink["detail"] else ""
        found.append(Finding("flink", _FLINK[flink["state"]], f"flink: {flink['meaning']}{error}"))
    found += [
        Finding(
            "postgres",
            "late",
            f"A {row['kind']} ({row['application'] or row['pid']}) holds back vacuum for "
            f"{format_seconds(row['seconds'])}: end it.",
        )
        for row in figures["vacuum"] or []
    ]
    found += [Finding("ledger", state, text) for state, text in describe_findings(figures.get("ledger") or {})]
    order = ("down", "paused", "late", "unknown")
    return sorted(found, key=lambda finding: order.index(finding.state))


def is_troubled(figures: dict[str, Any], at: datetime) -> bool:
    """Return whether something is down, paused or late, so that samples must follow each other quickly.

    Parked keys and old transactions last for long and change little, so they do not count.
    """
    outbox, consumers = figures["outbox"], figures["consumers"]
    return (
        any(finding.state in ("down", "paused") for finding in judge(figures, at))
        or bool(figures.get("outages"))
        or bool(outbox and outbox["oldest_seconds"] > LATE_SECONDS)
        or any(consumer["behind_seconds"] > LATE_SECONDS for consumer in (consumers or {}).values())
    )


def find_states(findings: list[Finding]) -> dict[str, str]:
    """Return the worst state of each part that has a finding."""
    states: dict[str, str] = {}
    for finding in findings:
        states.setdefault(finding.part, finding.state)
    return states


def _judge_sections(figures: dict[str, Any]) -> list[Finding]:
    missing = [name for name, section in figures.items() if section is None]
    return [Finding(name, "unknown", f"The section {name} could not be read in time.") for name in missing]


def _judge_processes(figures: dict[str, Any], at: datetime) -> list[Finding]:
    if figures["processes"] is None:
        return []
    newest: dict[str, dict[str, Any]] = {}
    for row in figures["processes"]:  # the most recently completed round comes first
        newest.setdefault(row["name"], row)
    found = []
    for name in PROCESSES:
        row = newest.get(name)
        if row is None:
            found.append(Finding(name, "down", f"{name} does not run{_tell_waiting(figures, name)}."))
        elif row["waiting"].startswith(NO_KAFKA):
            found.append(Finding(name, "late", f"{name} waits for Kafka{_tell_waiting(figures, name)}."))
        elif row["age"] is None or row["age"] >= STALE_AFTER_SECONDS:
            since = "" if row["age"] is None else f" since {at - timedelta(seconds=row['age']):%H:%M:%S}"
            why = f" It waits: {row['waiting']}." if row["waiting"] else ""
            found.append(Finding(name, "down", f"{name} is down{since}{_tell_waiting(figures, name)}.{why}"))
    return found


def _judge_kafka(figures: dict[str, Any]) -> list[Finding]:
    if not any(row["waiting"].startswith(NO_KAFKA) for row in figures["processes"] or []):
        return []
    return [Finding("kafka", "down", "Kafka does not answer. Customers order as usual; events wait in the outbox.")]


def _tell_waiting(figures: dict[str, Any], name: str) -> str:
    """Return the number of waiting events and the time to drain them, as the end of a sentence."""
    consumer = (figures["consumers"] or {}).get(name)
    if not consumer or not consumer["lag"]:
        return ""
    waits = "event waits" if consumer["lag"] == 1 else "events wait"
    return f"; {consumer['lag']:,} {waits}{tell_return(figures, name)}"


def tell_return(figures: dict[str, Any], name: str) -> str:
    """Return the prediction for a consumer that is away, as the end of a sentence; "" if it is unknown."""
    prediction = (figures.get("predictions") or {}).get(name)
    if prediction is None:
        return ""
    if prediction["seconds"] is None:
        return f"; even if it came back now, the backlog would grow by {prediction['growth']:,.0f}/s"
    more: float = prediction["per_minute"]
    added = f", and {format_seconds(more)} more for each further minute" if more >= 0.5 else ""
    return f"; if it came back now: {format_seconds(prediction['seconds'])}{added}"


def tell_drain(figures: dict[str, Any], name: str) -> str:
    """Return the prediction for a consumer that works, as the end of a sentence; "" if it is unknown."""
    prediction = (figures.get("predictions") or {}).get(name)
    if prediction is None:
        return ""
    if prediction["seconds"] is None:
        return f"; the backlog grows by {prediction['growth']:,.0f}/s"
    return f"; drained in about {format_seconds(prediction['seconds'])}"


def _judge_outbox(figures: dict[str, Any]) -> list[Finding]:
    outbox, found = figures["outbox"], []
    if outbox and outbox["refused"]:
        text = f"Kafka refused {outbox['refused']} events for good; their keys wait for a person."
        found.append(Finding("relay", "late", text))
    if outbox and outbox["oldest_seconds"] > LATE_SECONDS:
        oldest = format_seconds(outbox["oldest_seconds"])
        text = f"{outbox['unpublished']:,} events are not in Kafka yet, the oldest for {oldest}."
        found.append(Finding("outbox", "late", text))
    return found


def _judge_consumer(figures: dict[str, Any], name: str, consumer: dict[str, Any], known: set[str]) -> list[Finding]:
    found = []
    if consumer["paused_at"]:
        text = f"{name} is paused since {consumer['paused_at'][11:19]} by {consumer['paused_by']}: {consumer['reason']}"
        found.append(Finding(name, "paused", f"{text}{_tell_waiting(figures, name)}."))
    elif name not in known and consumer["behind_seconds"] > LATE_SECONDS:
        behind = format_seconds(consumer["behind_seconds"])
        text = f"{name} is {behind} behind: {consumer['lag']:,} events wait{tell_drain(figures, name)}."
        found.append(Finding(name, "late", text))
    if consumer["parked"]:
        text = f"{consumer['parked']:,} keys of {name} are parked: an event failed, and later events of the key wait."
        found.append(Finding(name, "late", text))
    return found


def format_seconds(seconds: float) -> str:
    """Return a duration as text, for example 9 s, 3 min 20 s or 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
