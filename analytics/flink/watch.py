"""The watcher: looks at the job every second and stores its state and progress, for pages and `manage.py status`."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from analytics.flink.cluster import FlinkUnavailable, Job, read_job
from analytics.flink.progress import Progress, Target
from analytics.models import FlinkJob

#: The job is catching up if the newest reached target is older than this.
BEHIND = timedelta(seconds=15)


class Watcher:
    """Follows the job. A failure of Flink is noticed by a restart, another job, or a state other than RUNNING."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._known: Job | None = None
        #: The target that the job must reach after a failure before its figures are exact again.
        self._repair: Target | None = None
        self._until: datetime | None = None

    def look(self) -> FlinkJob:
        """Look once, store the row, and return it.

        :raises BrokerUnavailable: Kafka did not answer.
        """
        stored = FlinkJob.objects.first() or FlinkJob(state="", began_at=timezone.now())
        try:
            job = read_job(settings.FLINK_URL)
        except FlinkUnavailable as error:
            return self._store(stored, "away" if stored.until or self._known else "starting", str(error))
        target = self._progress.set_target()
        if self._has_failed(job, stored):
            self._repair = target
        self._known = job
        reached = self._progress.follow(job)
        if reached:
            stored.until = reached.until
            if self._repair and reached.at >= self._repair.at:
                self._repair = None
        stored.job, stored.restarts, stored.checkpoint_at = job.id, job.restarts, job.checkpoint_at or None
        stored.waiting = self._progress.waiting
        return self._store(stored, *self._name_state(job, stored))

    def _has_failed(self, job: Job, stored: FlinkJob) -> bool:
        """Return whether the job restarts, or has restarted since the last look. `stored` is of a watcher before."""
        before = (self._known.id, self._known.restarts) if self._known else (stored.job, stored.restarts)
        if self._known is None and stored.state in ("recovering", "away"):
            return True
        return bool(before[0]) and ((job.id, job.restarts) != before or job.state != "RUNNING")

    def _name_state(self, job: Job, stored: FlinkJob) -> tuple[str, str]:
        """Return the state and its detail."""
        if job.state in ("FAILED", "FINISHED", "CANCELED"):
            return "failed", job.error or f"The job is {job.state}."
        if self._repair:
            return "recovering", job.error
        if job.state != "RUNNING" or stored.until is None:
            return "starting", ""
        return ("catching up" if timezone.now() - stored.until > BEHIND else "running"), ""

    def _store(self, row: FlinkJob, state: str, detail: str) -> FlinkJob:
        now = timezone.now()
        if row.state != state:
            row.state, row.began_at = state, now
        row.detail, row.seen_at = detail, now
        row.save()
        return row
