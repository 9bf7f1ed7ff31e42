"""Notes about causes of parked keys, and staged redrives."""

from django.db import models
from django.db.models.functions import Now


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
