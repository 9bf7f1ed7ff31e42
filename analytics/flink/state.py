"""The state of the job for pages and commands, and how complete its tables are."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from analytics.completeness import Completeness, count_aside
from analytics.flink.tables import exist
from analytics.generation import FLINK
from analytics.models import FlinkJob

#: A row that is older than this says nothing about now.
STALE = timedelta(seconds=15)
#: `until` before the job has reached a first target.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
#: The meaning of each state for staff.
MEANINGS = {
    "starting": "The job starts. Its tables are empty or not complete yet.",
    "running": "The job runs, and its tables are complete.",
    "catching up": "The job reads events that it has not read yet. Missing times fill from left to right.",
    "recovering": "Flink returns to its last checkpoint. Figures after “complete until” go back for a while.",
    "failed": "The job has ended. Read the error, correct the cause, and start the part flink-jobs again.",
    "away": "Flink does not answer. Check the parts flink-jobs and flink-tasks.",
    "unknown": "Nobody watches the job. Start the part flinkwatch.",
}


def describe_job() -> dict[str, Any]:
    """Return the state of the job as JSON-like data, with its meaning. Without a fresh row the state is unknown."""
    row = FlinkJob.objects.first()
    if row is None:
        return {"state": "unknown", "meaning": MEANINGS["unknown"], "detail": "", "pages": settings.ANALYTICS_PAGES}
    state = row.state if timezone.now() - row.seen_at < STALE else "unknown"
    return {
        "state": state,
        "meaning": MEANINGS[state],
        "detail": row.detail,
        "since": row.began_at.isoformat(timespec="seconds"),
        "until": row.until.isoformat(timespec="milliseconds") if row.until else None,
        "waiting": row.waiting,
        "restarts": row.restarts,
        "checkpoint_at": row.checkpoint_at.isoformat(timespec="seconds") if row.checkpoint_at else None,
        "pages": settings.ANALYTICS_PAGES,
    }


def read_flink_completeness(*, since: datetime) -> Completeness:
    """Return how complete Flink's tables are; `until` is NEVER before the job has reached a first target.

    Flink parks no keys. The consumer, which knows the times of arrival, counts late and restated events.
    """
    row, state = FlinkJob.objects.first(), describe_job()["state"]
    until = row.until if row and row.until else NEVER
    _, _, refused, not_recorded, late, restated, waiting, archived, overdue = count_aside(
        since=since, touched=FLINK.schema if exist() else ""
    )
    return Completeness(
        since=since,
        until=until,
        is_waiting=state != "running" or bool(row and row.waiting),
        parked_keys=0,
        parked_events=0,
        refused_keys=refused,
        not_recorded=not_recorded,
        late=late,
        restated=restated,
        visits_waiting=waiting,
        archived_until=archived,
        overdue_days=overdue,
    )
