"""The points of the charts and the outages of consumers."""

from django.db import models
from django.db.models import Q

#: An error of a prediction is compared with at least this time: nobody can wait for less.
LEAST_SECONDS = 1.0


class Point(models.Model):
    """The figures of one consumer in one sample, for charts. Narrow rows, because a chart of 48 hours reads all."""

    pk = models.CompositePrimaryKey("consumer", "period")
    consumer = models.TextField()
    period = models.BigIntegerField(help_text="The period of the sample.")
    at = models.DateTimeField()
    waiting = models.BigIntegerField(help_text="Events that wait, without those of parked keys.")
    arrived = models.BigIntegerField(null=True, help_text="Events that arrived since the count began.")
    arriving = models.FloatField(null=True, help_text="Events per second, smoothed.")
    applied = models.FloatField(null=True, help_text="Events per second since the previous sample.")
    drain_seconds = models.FloatField(null=True, help_text="Predicted time to drain.")


class Outage(models.Model):
    """A time during which a consumer was down or paused, with the backlog that followed, and what was predicted.

    All predictions and the result count from the return of the consumer.
    """

    class Kind(models.TextChoices):
        DOWN = "down"
        PAUSED = "paused"

    consumer = models.TextField()
    kind = models.TextField(choices=Kind)
    began_at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True)
    drained_at = models.DateTimeField(null=True, help_text="Empty if another outage interrupted the drain.")
    ended_at = models.DateTimeField(null=True, help_text="Drained or interrupted.")
    most_waiting = models.BigIntegerField(default=0)
    waiting = models.BigIntegerField(default=0, help_text="Events that waited at the return.")
    arriving = models.FloatField(default=0.0, help_text="Events per second that arrived before the return.")
    arrived = models.BigIntegerField(default=0, help_text="Events that had arrived at the return, by the count.")
    work = models.BigIntegerField(null=True, help_text="Events that the consumer applied from the return to the drain.")
    capacity = models.FloatField(null=True, help_text="Events per second while draining.")
    predicted_away = models.FloatField(null=True, help_text="Seconds; the last prediction before the return.")
    predicted_back = models.FloatField(null=True, help_text="Seconds; predicted 5 s after the return.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["consumer"], condition=Q(ended_at=None), name="one_open_outage"),
        ]
        indexes = [models.Index(fields=["consumer", "-began_at"], name="outage_newest")]

    def __str__(self) -> str:
        return f"{self.consumer} {self.kind} at {self.began_at:%Y-%m-%d %H:%M:%S}"

    @property
    def away_seconds(self) -> float | None:
        """The time from the beginning to the return."""
        return None if self.returned_at is None else (self.returned_at - self.began_at).total_seconds()

    @property
    def drain_seconds(self) -> float | None:
        """The time from the return until nothing waited."""
        if self.drained_at is None or self.returned_at is None:
            return None
        return max(0.0, (self.drained_at - self.returned_at).total_seconds())

    @property
    def score_away(self) -> float | None:
        """The score of the last prediction before the return, in percent."""
        return self.score(self.predicted_away)

    @property
    def score_back(self) -> float | None:
        """The score of the prediction shortly after the return, in percent."""
        return self.score(self.predicted_back)

    def score(self, predicted: float | None) -> float | None:
        """Return 100 for a perfect prediction, 90 for an error of 10 %, and at least 0."""
        actual = self.drain_seconds
        if predicted is None or actual is None:
            return None
        return max(0.0, 100 * (1 - abs(predicted - actual) / max(actual, LEAST_SECONDS)))
