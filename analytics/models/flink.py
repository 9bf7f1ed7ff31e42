"""The state of Flink's job."""

from django.db import models
from django.db.models import Q


class FlinkJob(models.Model):
    """One row: the job of Flink, as the part flinkwatch last saw it. There is none before the first look.

    - `state`: one of STATES; `began_at`: since when; `detail`: a sentence for staff, for example the last error.
    - `job`, `restarts`: Flink's id of the job, and how often Flink has restarted it.
    - `checkpoint_at`: the beginning of the last checkpoint of the job's state.
    - `until`: every event that occurred before it is in the tables; empty before the first one is known. It stays true
      while the job recovers: only later figures go back.
    - `waiting`: records of Kafka that are not in the tables for certain.
    - `seen_at`: the time of the look.
    """

    STATES = ("starting", "running", "catching up", "recovering", "failed", "away")

    id = models.SmallIntegerField(primary_key=True, default=1)
    state = models.TextField()
    began_at = models.DateTimeField()
    detail = models.TextField(default="")
    job = models.TextField(default="")
    restarts = models.IntegerField(default=0)
    checkpoint_at = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    waiting = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="flinkjob_one_row")]

    def __str__(self) -> str:
        return f"Flink: {self.state}"
