"""Samples of the shop's state. Pages show samples, so that the number of viewers does not change the load."""

from django.db import models
from django.db.models.functions import Now


class Sample(models.Model):
    """The figures of one period of SAMPLE_SECONDS. A row without figures was claimed by a sampler that is reading them.

    The period is the primary key, so that only one of several samplers reads the figures of a period.
    """

    period = models.BigIntegerField(primary_key=True, help_text="Unix time divided by the seconds between two samples.")
    at = models.DateTimeField(help_text="When the figures were read, by the database's clock.")
    figures = models.JSONField(null=True, help_text="See shop.control.figures.")

    def __str__(self) -> str:
        return f"sample at {self.at:%Y-%m-%d %H:%M:%S}"


class CauseNote(models.Model):
    """The note of staff about a cause of parked keys, by the cause's fingerprint."""

    fingerprint = models.TextField(primary_key=True)
    text = models.TextField()
    written_by = models.TextField()
    written_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"note by {self.written_by}"


class Redrive(models.Model):
    """A staged redrive of the keys that a person saw. Its progress is stored, so any live process can continue it."""

    class State(models.TextChoices):
        """A chosen selection waits for its start. A stopping redrive waits for keys that are already released."""

        chosen = "chosen"
        running = "running"
        stopping = "stopping"
        stopped = "stopped"
        done = "done"

    state = models.TextField(choices=State, default=State.chosen)
    consumer = models.TextField()
    fingerprint = models.TextField()
    cause = models.TextField(help_text="Event type and reason, for people.")
    keys = models.IntegerField(help_text="Number of chosen keys.")
    chosen_at = models.DateTimeField(db_default=Now())
    chosen_by = models.TextField()
    reason = models.TextField(blank=True, default="")
    started_by = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    outcome = models.TextField(blank=True, default="", help_text="Why it ended.")
    stage = models.IntegerField(default=0)
    looked_at = models.DateTimeField(null=True, help_text="When a live process last continued it.")

    class Meta:
        indexes = [
            models.Index(fields=["state"], name="redrive_active", condition=models.Q(state__in=["running", "stopping"]))
        ]

    def __str__(self) -> str:
        return f"redrive {self.pk} of {self.consumer}"

    @property
    def is_active(self) -> bool:
        """Whether a live process works on it."""
        return self.state in (self.State.running, self.State.stopping)


class RedriveKey(models.Model):
    """A chosen key. `number` counts from 1 in the order in which the keys were parked."""

    class State(models.TextChoices):
        """A `gone` key no longer waited at its event when its turn came."""

        chosen = "chosen"
        released = "released"
        applied = "applied"
        failed = "failed"
        gone = "gone"

    pk = models.CompositePrimaryKey("redrive_id", "number")
    redrive = models.ForeignKey(Redrive, on_delete=models.CASCADE, db_index=False)
    number = models.IntegerField()
    topic = models.TextField()
    key = models.TextField()
    sequence = models.BigIntegerField()
    stage = models.SmallIntegerField()
    state = models.TextField(default=State.chosen)
    attempts = models.IntegerField(default=0, help_text="Attempts before the release.")
    released_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["redrive"], name="redrivekey_failed", condition=models.Q(state="failed")),
            models.Index(fields=["redrive"], name="redrivekey_released", condition=models.Q(state="released")),
        ]


class Replay(models.Model):
    """A replay of a span of positions: first a dry run, then the run with the same figures."""

    class State(models.TextChoices):
        """`checking` counts again after the start, and compares the figures with the dry run."""

        counting = "counting"
        counted = "counted"
        checking = "checking"
        running = "running"
        paused = "paused"
        done = "done"
        aborted = "aborted"

    state = models.TextField(choices=State, default=State.counting)
    consumer = models.TextField()
    first = models.BigIntegerField(help_text="The first position of the span.")
    last = models.BigIntegerField(help_text="The last position of the span.")
    span = models.TextField(help_text="The span as the person entered it.")
    reached = models.BigIntegerField(help_text="Everything up to this position is counted, or replayed.")
    planned = models.JSONField(default=dict, help_text="The figures of the dry run.")
    counted = models.JSONField(default=dict, help_text="The figures of the count in progress.")
    result = models.JSONField(default=dict, help_text="The figures of the run.")
    created_by = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    counted_at = models.DateTimeField(null=True, help_text="When the dry run ended.")
    reason = models.TextField(blank=True, default="")
    started_by = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(null=True, help_text="The last sign of life of a page that continues it.")
    claimed_until = models.DateTimeField(null=True, help_text="Until then, one page takes a step.")
    ended_at = models.DateTimeField(null=True)
    notice = models.TextField(blank=True, default="", help_text="Why it paused, or why the dry run starts again.")

    def __str__(self) -> str:
        return f"replay {self.pk} of {self.consumer}"
