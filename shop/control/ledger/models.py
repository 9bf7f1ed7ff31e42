"""Tables of the ledger: its progress, windows of positions, their checks, and the differences that checks found."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class LedgerState(models.Model):
    """The progress of the ledger: one row. Only the owner, a live process, writes to the ledger until `until`."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    owner = models.TextField(db_default="")
    until = models.DateTimeField(db_default=Now())
    began_at = models.DateTimeField(null=True, help_text="The ledger compares the events that were committed since.")
    began_after = models.BigIntegerField(db_default=0, help_text="The last position before the first window.")
    position = models.BigIntegerField(db_default=0, help_text="The end of the last window.")
    cut_at = models.DateTimeField(db_default=Now(), help_text="When the last window was cut.")
    offsets = models.JSONField(db_default={}, help_text="By topic/partition: resume offset, counted end, first offset.")
    repeats = models.BigIntegerField(db_default=0, help_text="Records in Kafka that repeat an earlier record.")
    read_at = models.DateTimeField(null=True, help_text="When Kafka was last read to its end.")
    worked_at = models.DateTimeField(null=True, help_text="When the last round ended.")
    problem = models.TextField(blank=True, db_default="", help_text="Why the last round could not read Kafka.")

    def __str__(self) -> str:
        return f"ledger up to position {self.position}"


class LedgerWindow(models.Model):
    """The events at the positions (after, until] of the outbox. No further event can be committed there."""

    after = models.BigIntegerField()
    until = models.BigIntegerField(unique=True)
    first_at = models.DateTimeField(help_text="When its first event was committed.")
    last_at = models.DateTimeField()
    rows = models.IntegerField()
    cut_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-until"]
        indexes = [models.Index(fields=["cut_at"], name="ledgerwindow_cut")]

    def __str__(self) -> str:
        return f"window {self.after + 1} to {self.until}"


class LedgerCheck(models.Model):
    """A window compared with one part: Kafka's log, or a consumer. It is closed when each row is in order.

    rows = found + skipped + the outstanding rows, which wait, are parked, or differ (lost or doubled).
    """

    LOG = "log"

    window = models.ForeignKey(LedgerWindow, on_delete=models.CASCADE, related_name="checks")
    part = models.TextField(help_text="log, or the name of a consumer.")
    rows = models.IntegerField(help_text="Events that the part must have.")
    found = models.IntegerField(db_default=0, help_text="Events that are in the log, or that the consumer applied.")
    wanted = models.IntegerField(db_default=0, help_text="Applied events that must leave an effect.")
    effects = models.IntegerField(db_default=0, help_text="Applied events that have each of their effects once.")
    skipped = models.IntegerField(db_default=0, help_text="Events that a person skipped.")
    waiting = models.IntegerField(db_default=0)
    parked = models.IntegerField(db_default=0)
    lost = models.IntegerField(db_default=0)
    doubled = models.IntegerField(db_default=0)
    outstanding = ArrayField(models.BigIntegerField(), db_default=[], help_text="Positions to look at again.")
    checked_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    audited_at = models.DateTimeField(null=True, help_text="When the whole check was last compared.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["window", "part"], name="ledgercheck_once")]
        indexes = [
            models.Index(fields=["part", "window"], name="ledgercheck_open", condition=Q(closed_at=None)),
            models.Index(fields=["audited_at"], name="ledgercheck_audit", condition=~Q(part="log")),
        ]

    def __str__(self) -> str:
        return f"{self.part} in {self.window}"


class LedgerTotal(models.Model):
    """The sums of all checks of a part. Deleting old windows does not change them."""

    part = models.TextField(primary_key=True)
    rows = models.BigIntegerField(db_default=0)
    found = models.BigIntegerField(db_default=0)
    wanted = models.BigIntegerField(db_default=0)
    effects = models.BigIntegerField(db_default=0)
    skipped = models.BigIntegerField(db_default=0)

    def __str__(self) -> str:
        return f"totals of {self.part}"


class LedgerDifference(models.Model):
    """An event that a part lacks, or has twice. It is open until the event is in order, or a person accepts it."""

    class Kind(models.TextChoices):
        unsent = "unsent", "left behind by the relay"
        lost = "lost", "not in Kafka"
        inverted = "inverted", "in Kafka before an earlier event"
        unapplied = "unapplied", "passed without being applied"
        missing = "missing", "effect missing"
        doubled = "doubled", "effect doubled"

    window = models.ForeignKey(LedgerWindow, on_delete=models.CASCADE, related_name="differences")
    part = models.TextField()
    kind = models.CharField(max_length=10, choices=Kind)
    position = models.BigIntegerField()
    event_id = models.UUIDField()
    type = models.TextField()
    topic = models.TextField()
    key = models.TextField()
    sequence = models.BigIntegerField()
    number = models.CharField(max_length=16, blank=True, help_text="The order's number, if the key is an order.")
    committed_at = models.DateTimeField()
    found_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    accepted_by = models.TextField(blank=True, db_default="", help_text="The person who accepted it; empty: it healed.")

    class Meta:
        ordering = ["-found_at", "-pk"]
        constraints = [
            models.UniqueConstraint(F("window"), F("part"), F("position"), F("kind"), name="ledgerdifference_once")
        ]
        indexes = [
            models.Index(fields=["-found_at"], name="ledgerdifference_open", condition=Q(closed_at=None)),
            models.Index(fields=["-closed_at"], name="ledgerdifference_closed"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} in {self.part}: {self.type} {self.event_id}"

    @property
    def seconds(self) -> float | None:
        """The time from the discovery to the end, or None while it is open."""
        return (self.closed_at - self.found_at).total_seconds() if self.closed_at else None


class Verification(models.Model):
    """A full run of `manage.py verify` that a person or the schedule has requested. A live process runs it."""

    requested_at = models.DateTimeField(db_default=Now())
    requested_by = models.TextField()
    reason = models.TextField()
    begun_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="The last sign of life of the process that runs it.")
    step = models.TextField(blank=True, db_default="")
    ended_at = models.DateTimeField(null=True)
    report = models.JSONField(null=True, help_text="The report, see shop.management.verification.")
    error = models.TextField(blank=True, db_default="", help_text="Why it has no report.")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            # Two runs at once would read the whole database twice.
            models.UniqueConstraint(
                F("ended_at"), name="verification_one_open", condition=Q(ended_at=None), nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"verification requested by {self.requested_by}"
