"""Staged redrives of the keys that a person saw: choose, start, stop, continue, and the results of the stages."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from relay.operations import Refused
from relay.operations.audit import demand_reason
from relay.operations.parked import RELAY, Group
from relay.operations.stages import STAGES
from shop.control.models import Redrive, RedriveKey

#: A redrive has at most this number of keys.
MOST = 100_000
#: A selection that nobody starts is deleted after this time, and a redrive after its end plus this time.
UNSTARTED, KEPT = timedelta(hours=1), timedelta(days=90)

_STAGE = " ".join(f"when number <= {sum(STAGES[: n + 1])} then {n}" for n in range(len(STAGES)))
_CHOOSE = f"""
insert into control_redrivekey (redrive_id, number, topic, key, sequence, stage, state, attempts)
select %(redrive)s, number, topic, key, sequence, case {_STAGE} else {len(STAGES)} end, 'chosen', 0
from (select topic, key, sequence, row_number() over (order by since, id) as number from ({{source}}) stuck
      order by since, id limit {MOST}) numbered
"""  # noqa: S608 - our own text
_PARKED = """select id, topic, key, last + 1 as sequence, parked_at as since from relay_cursor
where parked_at is not null and fingerprint = %(fingerprint)s and parked_at <= %(until)s"""
_REFUSED = """select position as id, topic, key, sequence, created_at as since from relay_outbox
where refused_reason is not null and relay_fingerprint('relay', type, refused_reason) = %(fingerprint)s
  and created_at <= %(until)s"""
_UNTRIED = """select number as id, topic, key, sequence, now() as since from control_redrivekey
where redrive_id = %(former)s and state = 'chosen'"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The numbers of keys of one stage by state. `word` names the state of the stage."""

    number: int
    keys: int
    waiting: int
    applied: int
    failed: int
    gone: int

    @property
    def word(self) -> str:
        """Return the state of the stage."""
        if self.failed:
            return "failed"
        if self.applied + self.gone == self.keys:
            return "complete"
        return "running" if self.waiting or self.applied or self.gone else "not started"


def choose(group: Group, *, until: datetime, actor: str) -> Redrive:
    """Store the keys of `group` that were parked at the time `until` or earlier, as the selection of a new redrive.

    :raises Refused: the keys are not parked any more, or another redrive of the group is active.
    """
    cause = f"{group.type} {group.reason}".strip()
    values = {"fingerprint": group.fingerprint, "until": until}
    source = _REFUSED if group.consumer == RELAY else _PARKED
    return _store(source, values, Redrive(consumer=group.consumer, fingerprint=group.fingerprint, cause=cause), actor)


def choose_remaining(former: Redrive, *, actor: str) -> Redrive:
    """Store the keys that the ended redrive `former` did not release as the selection of a new redrive.

    :raises Refused: every key was released, or another redrive of the group is active.
    """
    if former.is_active:
        raise Refused("This redrive still runs: stop it first.")
    new = Redrive(consumer=former.consumer, fingerprint=former.fingerprint, cause=former.cause)
    return _store(_UNTRIED, {"former": former.pk}, new, actor)


def _store(source: str, values: dict[str, Any], redrive: Redrive, actor: str) -> Redrive:
    old = Q(state="chosen", chosen_at__lt=Now() - UNSTARTED) | Q(ended_at__lt=Now() - KEPT)
    with transaction.atomic(), connection.cursor() as cursor:
        Redrive.objects.filter(old).delete()
        redrive.chosen_by, redrive.keys = actor, 0
        redrive.save()
        cursor.execute(_CHOOSE.format(source=source), values | {"redrive": redrive.pk})
        redrive.keys = cursor.rowcount
        if not redrive.keys:
            transaction.set_rollback(True)
            raise Refused("None of the keys waits any more. Load the list of parked keys again.")
        redrive.save()
    return redrive


def start(redrive_id: int, *, actor: str, reason: str) -> None:
    """Start a chosen redrive. A live process continues it.

    :raises Refused: the reason is missing, it was started before, or another redrive of the group is active.
    """
    demand_reason(reason)
    with transaction.atomic():
        redrive = Redrive.objects.select_for_update().get(pk=redrive_id)
        if redrive.state != Redrive.State.chosen:
            raise Refused(f"This redrive was started by {redrive.started_by} before.")
        # All starts of one cause wait for each other.
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 7262179))", [redrive.fingerprint])
        active = Redrive.objects.filter(fingerprint=redrive.fingerprint, state__in=["running", "stopping"])
        if other := active.first():
            raise Refused(f"Redrive {other.pk} of this cause runs already: wait for its end or stop it.")
        redrive.state, redrive.started_by, redrive.reason = Redrive.State.running, actor, reason
        redrive.started_at = Now()
        redrive.save()


def stop(redrive_id: int, *, actor: str) -> None:
    """Release no further key of a running redrive. Keys that are already released are still tried.

    :raises Refused: the redrive does not run.
    """
    outcome = f"Stopped by {actor}."
    if not Redrive.objects.filter(pk=redrive_id, state="running").update(state="stopping", outcome=outcome):
        raise Refused("This redrive does not run, so there is nothing to stop.")


def list_stages(redrive: Redrive) -> list[Stage]:
    """Return the stages of a redrive with the outcomes of their keys."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select stage, count(*), count(*) filter (where state = 'released'),"
            " count(*) filter (where state = 'applied'), count(*) filter (where state = 'failed'),"
            " count(*) filter (where state = 'gone')"
            " from control_redrivekey where redrive_id = %s group by stage order by stage",
            [redrive.pk],
        )
        return [Stage(*row) for row in cursor.fetchall()]


def list_failed(redrive: Redrive) -> list[RedriveKey]:
    """Return at most 20 failed keys of a redrive."""
    return list(RedriveKey.objects.filter(redrive=redrive, state="failed").order_by("number")[:20])
