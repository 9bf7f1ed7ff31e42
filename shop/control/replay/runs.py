"""Replays as rows: a dry run first, then a run with the same figures, both in steps that a page requests.

No process works on a replay in the background. Without a page that requests steps, it pauses.
"""

import statistics
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from relay.operations import Refused
from relay.operations.audit import demand_reason, find_consumer, record_intervention
from relay.operations.replay import ReplayResult
from relay.operations.stretches import Counts, Stretch, as_figures, count_step, replay_step
from shop.control.models import Replay, Sample

#: A dry run is valid for this time.
VALID_SECONDS = 15 * 60
#: A run whose page has not requested a step for this time counts as paused.
ALIVE_SECONDS = 30.0
#: The work of one step: a page shows its progress after each one.
STEP_SECONDS = 0.8
#: A step of a process that has ended blocks further steps for this time.
CLAIM_SECONDS = 30

State = Replay.State
COUNTING, OPEN = (State.counting, State.checking), (State.counting, State.checking, State.running)


def create(consumer: str, stretch: Stretch, span: str, *, actor: str) -> Replay:
    """Store a new dry run, which is not counted yet.

    :raises Refused: the consumer does not exist.
    """
    find_consumer(consumer)
    return Replay.objects.create(
        consumer=consumer,
        first=stretch.first,
        last=stretch.last,
        span=span,
        reached=stretch.first - 1,
        created_by=actor,
    )


def take_step(replay_id: int) -> Replay:
    """Count or replay for about STEP_SECONDS, and return the replay. While another page takes a step, do nothing.

    The step is no single transaction, because a consumer's transactions must be short.

    :raises Refused: the consumer does not exist any more.
    :raises OperationalError: the database failed. Repeating the step is safe.
    """
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    claimed = Replay.objects.filter(free, pk=replay_id, state__in=OPEN)
    if not claimed.update(claimed_until=Now() + timedelta(seconds=CLAIM_SECONDS)):
        return Replay.objects.get(pk=replay_id)
    replay = Replay.objects.get(pk=replay_id)
    state = replay.state
    try:
        if state == State.running:
            _run(replay)
        else:
            _count(replay)
    finally:
        Replay.objects.filter(pk=replay_id).update(claimed_until=None)
    _store(replay, state)
    return Replay.objects.get(pk=replay_id)


def _store(replay: Replay, state: str) -> None:
    """Store the step. If a person has paused or ended the replay meanwhile, keep this state."""
    progress = {"reached": replay.reached, "result": replay.result, "moved_at": _read_clock()}
    outcome = {
        name: getattr(replay, name) for name in ("state", "planned", "counted", "counted_at", "ended_at", "notice")
    }
    if not Replay.objects.filter(pk=replay.pk, state=state).update(**progress, **outcome) and state == State.running:
        Replay.objects.filter(pk=replay.pk).update(**progress)


def _count(replay: Replay) -> None:
    counts = Counts(**replay.counted)
    consumer = find_consumer(replay.consumer)
    replay.reached = count_step(consumer, replay.first - 1, replay.reached, replay.last, counts, seconds=STEP_SECONDS)
    replay.counted = asdict(counts)
    if replay.reached < replay.last:
        return
    figures = as_figures(counts)
    unchanged = replay.state == State.checking and figures == replay.planned
    if replay.state == State.checking and not unchanged:
        replay.notice = (
            f"The figures have changed since the dry run: it would have applied {replay.planned['to_apply']:,} events,"
            f" and now {figures['to_apply']:,}. Nothing was replayed. Check the new figures and start again."
        )
    replay.planned, replay.counted, replay.counted_at = figures, {}, _read_clock()
    replay.state = State.running if unchanged else State.counted
    replay.reached = replay.first - 1
    if unchanged:
        replay.result = asdict(ReplayResult())
        _audit(replay, replay.started_by, f"positions {replay.first} to {replay.last}: {figures}")


def _run(replay: Replay) -> None:
    """Apply the next events. Pause when a key was parked that was not parked in the dry run."""
    result, consumer = ReplayResult(**replay.result), find_consumer(replay.consumer)
    expected = max(replay.planned["parked"], replay.result["waiting"])
    replay.reached = replay_step(
        consumer, replay.reached, replay.last, result, seconds=STEP_SECONDS, most_waiting=expected
    )
    replay.result = asdict(result)
    if replay.reached >= replay.last:
        replay.state, replay.ended_at, replay.notice = State.done, _read_clock(), ""
    elif result.waiting > expected:
        replay.state = State.paused
        replay.notice = "An event failed and its key is parked. Look at the parked keys, then continue or abort."


def start(replay_id: int, *, actor: str, reason: str) -> None:
    """Start a counted replay: the next steps count again, and replay if the figures are the same.

    :raises Refused: the reason is missing, the dry run is too old, or the replay was started before.
    """
    demand_reason(reason)
    with transaction.atomic():
        replay = Replay.objects.select_for_update().get(pk=replay_id)
        if replay.state != State.counted or replay.counted_at is None:
            raise Refused("Only a complete dry run can be started. Count it first, or make a new dry run.")
        if is_old(replay):
            raise Refused(f"This dry run is older than {VALID_SECONDS // 60} minutes: count again, then start.")
        replay.state, replay.started_by, replay.reason = State.checking, actor, reason
        replay.started_at, replay.moved_at = _read_clock(), _read_clock()
        replay.reached, replay.counted, replay.notice = replay.first - 1, {}, ""
        replay.save()


def recount(replay_id: int) -> None:
    """Start the dry run of a counted replay again.

    :raises Refused: the replay was started.
    """
    with transaction.atomic():
        replay = Replay.objects.select_for_update().get(pk=replay_id)
        if replay.state not in (State.counting, State.counted):
            raise Refused("This replay was started before. Make a new dry run.")
        replay.state, replay.reached, replay.counted, replay.notice = State.counting, replay.first - 1, {}, ""
        replay.save()


def pause(replay_id: int) -> None:
    """Pause a running replay.

    :raises Refused: it does not run.
    """
    _change(replay_id, {State.running: State.paused}, "This replay does not run, so there is nothing to pause.")


def resume(replay_id: int) -> None:
    """Let a paused replay run again.

    :raises Refused: it is not paused.
    """
    _change(replay_id, {State.paused: State.running}, "This replay is not paused.")


def abort(replay_id: int, *, actor: str) -> None:
    """End a replay. Applied events stay applied.

    :raises Refused: it has ended.
    """
    changes = dict.fromkeys((*OPEN, State.counted, State.paused), State.aborted)
    replay = _change(replay_id, changes, "This replay has ended already.")
    if replay.result:
        _audit(replay, actor, f"aborted at position {replay.reached}: {replay.result}")


def _change(replay_id: int, changes: dict[State, State], refusal: str) -> Replay:
    with transaction.atomic():
        replay = Replay.objects.select_for_update().get(pk=replay_id)
        state = changes.get(State(replay.state))
        if state is None:
            raise Refused(refusal)
        replay.state, replay.notice, replay.moved_at = state, "", _read_clock()
        if state == State.aborted:
            replay.ended_at = replay.moved_at
        replay.save()
    return replay


def _audit(replay: Replay, actor: str, after: str) -> None:
    record_intervention("replay", actor=actor, reason=replay.reason, consumer=replay.consumer, after=after)


def is_old(replay: Replay) -> bool:
    """Return whether the dry run is too old to start."""
    counted_at = replay.counted_at
    return counted_at is None or _read_clock() - counted_at > timedelta(seconds=VALID_SECONDS)


def is_silent(replay: Replay) -> bool:
    """Return whether no page has requested a step of this running replay for ALIVE_SECONDS."""
    seconds = timedelta(seconds=ALIVE_SECONDS)
    return replay.state in OPEN and (replay.moved_at is None or _read_clock() - replay.moved_at > seconds)


def predict_seconds(consumer: str, events: int) -> float | None:
    """Return the time that `consumer` needs for `events` at its measured capacity, or None if it is unknown."""
    sample = Sample.objects.exclude(figures=None).order_by("-period").first()
    figures: dict[str, Any] = (sample.figures if sample else None) or {}
    capacities = figures.get("capacities", {}).get(consumer)
    return events / statistics.median(capacities) if capacities else None


def _read_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
