"""The manual pause of a consumer. Its events wait in Kafka during the pause; no event is lost."""

from dataclasses import dataclass
from datetime import datetime

from relay.database import connection, transaction
from relay.models import ConsumerState
from relay.operations.audit import demand_reason, find_consumer, record_intervention


@dataclass(frozen=True, slots=True)
class Switch:
    """The state of a consumer after an operation. `changed` is False if the consumer had this state before."""

    consumer: str
    paused: bool
    changed: bool
    resume_at: datetime | None = None


def pause(consumer: str, *, actor: str, reason: str, minutes: float | None = None, dry_run: bool = False) -> Switch:
    """Pause `consumer` until a person resumes it, or for `minutes`. This replaces an existing pause.

    :raises Refused: the consumer does not exist, or `reason` is empty.
    """
    find_consumer(consumer)
    demand_reason(reason)
    with transaction.atomic(), connection.cursor() as cursor:
        before = _lock_state(consumer)
        cursor.execute(
            "insert into relay_consumerstate as s (consumer, paused_at, paused_by, reason, resume_at)"
            " values (%(consumer)s, clock_timestamp(), %(actor)s, %(reason)s,"
            "         clock_timestamp() + make_interval(secs => %(seconds)s))"
            " on conflict (consumer) do update set paused_at = coalesce(s.paused_at, excluded.paused_at),"
            "     paused_by = excluded.paused_by, reason = excluded.reason, resume_at = excluded.resume_at"
            " returning resume_at",
            {
                "consumer": consumer,
                "actor": actor,
                "reason": reason,
                "seconds": None if minutes is None else minutes * 60,
            },
        )
        (resume_at,) = cursor.fetchone()
        after = f"paused until {resume_at:%Y-%m-%d %H:%M:%S %Z}" if resume_at else "paused until resumed"
        record_intervention("pause", actor=actor, reason=reason, consumer=consumer, before=before, after=after)
        transaction.set_rollback(dry_run)
    return Switch(consumer, paused=True, changed=before == "running", resume_at=resume_at)


def resume(consumer: str, *, actor: str, reason: str = "", dry_run: bool = False) -> Switch:
    """End the pause of `consumer`, ordered by a person or by its circuit breaker.

    :raises Refused: the consumer does not exist.
    """
    find_consumer(consumer)
    with transaction.atomic():
        before = _lock_state(consumer)
        if before != "running":
            ConsumerState.objects.filter(consumer=consumer).update(
                paused_at=None, paused_by="", reason="", resume_at=None
            )
            record_intervention("resume", actor=actor, reason=reason, consumer=consumer, before=before, after="running")
        transaction.set_rollback(dry_run)
    return Switch(consumer, paused=False, changed=before != "running")


def _lock_state(consumer: str) -> str:
    """Lock the row of the state and return a description of it."""
    state = ConsumerState.objects.select_for_update().filter(consumer=consumer).first()
    if state is None or state.paused_at is None:
        return "running"
    return f"paused by {state.paused_by}: {state.reason}"
