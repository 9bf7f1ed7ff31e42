"""The periodic tasks of analytics."""

from celery import shared_task

from analytics.flink import tables
from analytics.generation import FLINK
from analytics.rebuild.choice import drop_former
from analytics.retention import drop_old_days
from analytics.seal import seal_days
from analytics.sessions import compute_sessions, sum_days
from analytics.sums import sum_past_days


@shared_task  # type: ignore[untyped-decorator]
def compute_touched_sessions() -> None:
    """Compute the sessions of visitors with new activities."""
    compute_sessions()
    if tables.are_in_use():
        compute_sessions(FLINK)


@shared_task  # type: ignore[untyped-decorator]
def seal_complete_days() -> None:
    """Store the checksums of past days that are complete, and the sums of past days."""
    seal_days()
    sum_days()
    sum_past_days()
    if tables.are_in_use():
        sum_days(FLINK)


@shared_task  # type: ignore[untyped-decorator]
def drop_old_facts() -> None:
    """Drop a former generation after its day, and the days of activity that are older than the retention."""
    drop_former()
    tables.drop_old_days()
    drop_old_days()  # last: a day that can't be archived raises an error
