"""The progress of staged redrives. The live processes call `advance_redrives` every second.

All progress is in rows: a redrive survives the end of the process that continues it. A lock on the redrive's row keeps
several live processes from doing the same work.
"""

import logging
from collections.abc import Sequence

from django.db import connection, transaction
from django.db.models.functions import Now

from relay.operations.stages import APPLIED, FAILED, STAGES, WINDOW, Release, Waiter, read_outcomes, release
from shop.control.models import Redrive, RedriveKey

logger = logging.getLogger(__name__)


def advance_redrives() -> int:
    """Continue each active redrive by one step; return their number."""
    active = Redrive.objects.filter(state__in=["running", "stopping"]).order_by("pk")
    found = list(active.values_list("pk", flat=True))
    for pk in found:
        with transaction.atomic():
            redrive = active.filter(pk=pk).select_for_update(skip_locked=True).first()
            if redrive is not None:
                _advance(redrive)
    return len(found)


def _advance(redrive: Redrive) -> None:
    """Note the outcomes of released keys, then release the next ones, or end the redrive."""
    waiting = _note_outcomes(redrive)
    if redrive.state == Redrive.State.running and (failed := _count(redrive, "failed")):
        redrive.state = Redrive.State.stopping
        redrive.outcome = (
            f"Stage {redrive.stage + 1} failed: {failed} key{'' if failed == 1 else 's'} failed again. "
            "No further key was released. Fix the cause, then redrive the remaining keys."
        )
    if redrive.state == Redrive.State.running:
        waiting += _release_next(redrive, waiting)
    if not waiting:
        _end(redrive)
    redrive.looked_at = Now()
    redrive.save()


def _note_outcomes(redrive: Redrive) -> int:
    """Store the outcomes of the released keys; return the number of keys that still wait for a try."""
    released = list(RedriveKey.objects.filter(redrive=redrive, state="released").order_by("number"))
    releases = [Release(_name(key), key.attempts, key.released_at) for key in released]
    outcomes = read_outcomes(redrive.consumer, releases) if releases else []
    for outcome in (APPLIED, FAILED):
        numbers = [key.number for key, found in zip(released, outcomes, strict=True) if found == outcome]
        _set_state(redrive, numbers, outcome)
    return len(outcomes) - outcomes.count(APPLIED) - outcomes.count(FAILED)


def _release_next(redrive: Redrive, waiting: int) -> int:
    """Release keys of the current stage, or of the next one if it is complete; return the number of released keys."""
    while redrive.stage <= len(STAGES):
        chosen = RedriveKey.objects.filter(redrive=redrive, stage=redrive.stage, state="chosen").order_by("number")
        if keys := list(chosen[: WINDOW - waiting]):
            return _release(redrive, keys)
        if waiting or redrive.stage == len(STAGES):
            break
        redrive.stage += 1
    return 0


def _release(redrive: Redrive, keys: Sequence[RedriveKey]) -> int:
    reason = f"redrive {redrive.pk}, stage {redrive.stage + 1}: {redrive.reason}"
    done = release(redrive.consumer, [_name(key) for key in keys], actor=redrive.started_by, reason=reason)
    _set_state(redrive, [key.number for n, key in enumerate(keys) if n not in done], "gone")
    with connection.cursor() as cursor:
        cursor.execute(
            "update control_redrivekey k set state = 'released', attempts = done.attempts, released_at = done.at"
            " from unnest(%s::int[], %s::int[], %s::timestamptz[]) as done (number, attempts, at)"
            " where k.redrive_id = %s and k.number = done.number",
            [
                [keys[n].number for n in done],
                [one.attempts for one in done.values()],
                [one.at for one in done.values()],
                redrive.pk,
            ],
        )
    return len(done)


def _end(redrive: Redrive) -> None:
    """End a redrive without waiting keys, unless the current step found only keys that were gone."""
    if redrive.state == Redrive.State.stopping:
        redrive.state = Redrive.State.stopped
    elif _count(redrive, "chosen"):
        return
    else:
        redrive.state = Redrive.State.done
        gone = _count(redrive, "gone")
        redrive.outcome = f"All stages are complete: {_count(redrive, 'applied'):,} keys were applied." + (
            f" {gone:,} keys had left their event before their turn, and were not touched." if gone else ""
        )
    redrive.ended_at = Now()
    logger.info("redrive ended", extra={"redrive": redrive.pk, "outcome": redrive.outcome})


def _name(key: RedriveKey) -> Waiter:
    return Waiter(key.topic, key.key, key.sequence)


def _count(redrive: Redrive, state: str) -> int:
    return RedriveKey.objects.filter(redrive=redrive, state=state).count()


def _set_state(redrive: Redrive, numbers: Sequence[int], state: str) -> None:
    if numbers:
        RedriveKey.objects.filter(redrive=redrive, number__in=numbers).update(state=state)
