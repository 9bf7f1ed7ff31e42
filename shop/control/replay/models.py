"""Replays of a span: first a dry run, then the run with the same figures."""

from django.db import models
from django.db.models.functions import Now


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
