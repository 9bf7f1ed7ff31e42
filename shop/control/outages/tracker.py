"""Outages as rows: each begins when its consumer is down or paused and events wait, and ends when it has drained after
its return.

The sampler calls this for each sample. All state is in the rows, so that any process may take the next sample.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from relay.heartbeat import STALE_AFTER_SECONDS
from relay.models import Intervention
from shop.control.models import Outage, Point
from shop.control.outages.drains import find_end
from shop.control.outages.lessons import LEAST_WAITING, find_follow, measure_drain
from shop.control.prediction import predict
from shop.control.rates import counts_on

Figures = dict[str, Any]

#: Seconds after the return at which the second prediction is stored.
SOON_SECONDS = 5.0


class Absence(NamedTuple):
    """Why a consumer does not work, and since when."""

    kind: str
    since: datetime


def find_absence(figures: Figures, name: str, at: datetime) -> Absence | None:
    """Return the absence of consumer `name` in the sample that was read at `at`, or None if it works."""
    consumer = figures["consumers"][name]
    if consumer["paused_at"]:
        return Absence(Outage.Kind.PAUSED, datetime.fromisoformat(consumer["paused_at"]))
    row = find_process(figures, name)
    if row is None:
        return Absence(Outage.Kind.DOWN, at)
    if row["age"] is None or row["age"] >= STALE_AFTER_SECONDS:
        return Absence(Outage.Kind.DOWN, at - timedelta(seconds=row["age"] or 0.0))
    return None


def find_process(figures: Figures, name: str) -> Figures | None:
    """Return the process of a consumer that has completed a round most recently."""
    return next((row for row in figures["processes"] or [] if row["name"] == name), None)


def follow_outages(before: Figures | None, figures: Figures, at: datetime) -> set[str]:
    """Begin, continue and end outages. Add the open ones to `figures`. Return the names of drained consumers.

    :param before: the figures of the previous sample, or None after a gap.
    """
    figures["outages"] = {}
    if figures["consumers"] is None or figures["processes"] is None:
        figures["outages"] = (before or {}).get("outages") or {}
        return set()
    open_ones = {outage.consumer: outage for outage in Outage.objects.filter(ended_at=None)}
    drained = set()
    for name in figures["consumers"]:
        outage, absence = open_ones.get(name), find_absence(figures, name, at)
        if outage and outage.returned_at and (absence or not counts_on(before, figures)):
            _interrupt(outage, at)
            outage = None
        if outage is None and absence is not None and _count_waiting(figures, name):
            outage = _begin(name, absence)
        if outage is None:
            continue
        if absence is not None:
            _update_most(outage, figures)
        elif _follow_return(outage, before, figures, at):
            drained.add(name)
            continue
        figures["outages"][name] = summarize(outage)
    return drained


def summarize(outage: Outage) -> Figures:
    """Return the parts of an open outage that predictions need."""
    return {
        "kind": outage.kind,
        "began": outage.began_at.timestamp(),
        "returned_at": outage.returned_at and outage.returned_at.timestamp(),
        "waiting": outage.waiting,
        "arriving": outage.arriving,
        "arrived": outage.arrived,
    }


def _begin(name: str, absence: Absence) -> Outage:
    fields = {"kind": absence.kind, "began_at": absence.since}
    outage, _created = Outage.objects.get_or_create(consumer=name, ended_at=None, defaults=fields)
    return outage


def _interrupt(outage: Outage, at: datetime) -> None:
    outage.ended_at = at
    outage.save(update_fields=["ended_at"])


def _update_most(outage: Outage, figures: Figures) -> None:
    waiting = _count_waiting(figures, outage.consumer)
    if waiting > outage.most_waiting:
        outage.most_waiting = waiting
        outage.save(update_fields=["most_waiting"])


def _count_waiting(figures: Figures, name: str) -> int:
    consumer = figures["consumers"][name]
    waiting: int = consumer["lag"] - consumer["parked_events"]
    return waiting


def _follow_return(outage: Outage, before: Figures | None, figures: Figures, at: datetime) -> bool:
    """Note the return of a consumer, the prediction soon after, and the drain. Return True if it has drained."""
    if outage.returned_at is None:
        _note_return(outage, before, figures, at)
    assert outage.returned_at is not None
    _update_most(outage, figures)
    name = outage.consumer
    now = Point(at=at, waiting=_count_waiting(figures, name), arrived=figures["consumers"][name]["arrived"])
    end = find_end(outage, now, find_follow(before, name))
    if end is not None:
        outage.drained_at, outage.ended_at = max(end.at, outage.returned_at), at
        outage.work = outage.waiting + (end.point.arrived or 0) - outage.arrived - end.point.waiting
        outage.capacity = measure_drain(outage)["capacity"] if outage.waiting >= LEAST_WAITING else None
        outage.save()
        return True
    elapsed = (at - outage.returned_at).total_seconds()
    if outage.predicted_back is None and elapsed >= SOON_SECONDS:
        known = {**figures, "lessons": (before or {}).get("lessons"), "outages": {name: summarize(outage)}}
        found = predict(known, name, at.timestamp())
        outage.predicted_back = None if found is None or found.seconds is None else elapsed + found.seconds
        outage.save(update_fields=["predicted_back"])
    return False


def _note_return(outage: Outage, before: Figures | None, figures: Figures, at: datetime) -> None:
    """Store the time of the return, and what waited and was predicted then, from the newest point before it."""
    outage.returned_at = find_return(outage, before, figures, at)
    points = Point.objects.filter(consumer=outage.consumer, at__gte=outage.began_at - timedelta(seconds=60))
    point = points.filter(at__lte=outage.returned_at).order_by("-period").first()
    outage.waiting = outage.most_waiting
    outage.arrived = _count_arrived(figures, outage.consumer)
    if point is not None and point.arrived is not None:
        outage.arriving = point.arriving or 0.0
        meanwhile = round(outage.arriving * (outage.returned_at - point.at).total_seconds())
        outage.waiting, outage.arrived = point.waiting + meanwhile, point.arrived + meanwhile
        outage.predicted_away = point.drain_seconds
    outage.save()


def find_return(outage: Outage, before: Figures | None, figures: Figures, at: datetime) -> datetime:
    """Return the time at which the consumer was resumed or started, at most `at`."""
    found: datetime | None = None
    planned = ((before or {}).get("consumers") or {}).get(outage.consumer, {}).get("resume_at")
    process = find_process(figures, outage.consumer)
    if outage.kind == Outage.Kind.PAUSED:
        resumed = Intervention.objects.filter(consumer=outage.consumer, action="resume", at__gte=outage.began_at)
        found = resumed.order_by("-at").values_list("at", flat=True).first()
        found = found or (datetime.fromisoformat(planned) if planned else None)
    elif process is not None:
        found = datetime.fromtimestamp(process["started"], UTC)
    return found if found is not None and outage.began_at <= found <= at else at


def _count_arrived(figures: Figures, name: str) -> int:
    arrived: int | None = figures["consumers"][name]["arrived"]
    return arrived or 0
