"""The generation that readers read, and the note about a loaded history."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class GenerationChoice(models.Model):
    """One row: which generation readers read, and the other generation, which is built or kept.

    - `schema`: the schema of PostgreSQL that readers read and the consumer writes.
    - `other`: the schema of the other generation; empty text if there is none.
    - `switched_at`: empty while the other generation is built. Otherwise readers read it until this time, and it is
      kept for a day.
    - `began_at`, `actor`, `reason`: of the rebuild, or of the last switch.
    - `position`, `target`: positions of the outbox: everything up to `position` was read; the build ends at `target`.
    - `events`, `rate`: events that the build has applied, and per second.
    - `beat_at`: the time of the last progress.
    - `is_restoring`: whether activity that the outbox no longer has is missing yet in the other generation. Its days
      before `restored_day` are restored, and `restored_rows` activities of that day.
    - `second_position`, `second_events`: the progress of a second process.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    schema = models.TextField(default="public")
    other = models.TextField(default="", blank=True)
    switched_at = models.DateTimeField(null=True)
    began_at = models.DateTimeField(null=True)
    actor = models.TextField(default="", blank=True)
    reason = models.TextField(default="", blank=True)
    position = models.BigIntegerField(default=0)
    target = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    rate = models.FloatField(default=0)
    beat_at = models.DateTimeField(null=True)
    is_restoring = models.BooleanField(db_default=False, default=False)
    restored_day = models.DateField(null=True)
    restored_rows = models.BigIntegerField(db_default=0, default=0)
    second_position = models.BigIntegerField(db_default=0, default=0)
    second_events = models.BigIntegerField(db_default=0, default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="generationchoice_one_row"),
            models.CheckConstraint(condition=~Q(schema=models.F("other")), name="generationchoice_two_schemas"),
        ]

    def __str__(self) -> str:
        return f"readers read {self.schema}"


class LoadedHistory(models.Model):
    """A note that facts without events in the outbox were loaded, for example by demo_data.

    The recount can't compare these facts: it skips orders before `until` that have no stream, and all counts before the
    end of that hour.
    """

    until = models.DateTimeField(help_text="Every loaded event occurred before this time.")
    loaded_at = models.DateTimeField(db_default=Now())
