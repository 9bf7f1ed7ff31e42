"""The relay's tables. Only the relay's own SQL writes to them; the admin shows them and offers operations.

`relay_outbox` is partitioned by ranges of `position`, so that old rows are dropped with their partition, not deleted.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

SHARDS = 16


class Stream(models.Model):
    """One row per key of a topic: the last assigned sequence number.

    Publishers hold its row lock until they commit, so the orders of commits, positions and sequences are the same.
    """

    pk = models.CompositePrimaryKey("key", "topic")
    topic = models.TextField()
    key = models.TextField()
    last = models.BigIntegerField()
    floor = models.BigIntegerField(db_default=0, help_text="Every sequence up to this one is pruned.")


class Outbox(models.Model):
    """An event that was committed with its cause, published to Kafka or not."""

    position = models.BigAutoField(primary_key=True)
    topic = models.TextField()
    key = models.TextField()
    key_hash = models.IntegerField(help_text="CRC-32 of the key: chooses the shard and the Kafka partition.")
    sequence = models.BigIntegerField(help_text="1, 2, 3 … within its key, without gaps.")
    event_id = models.UUIDField()
    type = models.TextField(help_text="The CloudEvents type, for example OrderPlaced.v1.")
    occurred_at = models.DateTimeField()
    body = models.TextField(help_text="The JSON value, exactly as sent.")
    traceparent = models.TextField(blank=True, db_default="", help_text="W3C trace context of the cause, if any.")
    created_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    refused_reason = models.TextField(
        null=True, help_text="Reason of Kafka. No later event of the key is sent until this is empty."
    )

    class Meta:
        verbose_name = "outbox row"
        permissions = [("view_payload", "Can read whole payloads of events")]
        indexes = [
            models.Index(fields=["key", "topic", "sequence"], name="outbox_of_key"),
            models.Index(fields=["topic", "key"], name="outbox_refused", condition=~Q(refused_reason=None)),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.topic}/{self.key} #{self.sequence}"


class Cursor(models.Model):
    """The last applied sequence number of a consumer in one key. It moves in the transaction of the effects."""

    consumer = models.TextField()
    topic = models.TextField()
    key = models.TextField()
    last = models.BigIntegerField(help_text="Every event up to this sequence is applied.")
    parked_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, db_default="")
    attempts = models.IntegerField(db_default=0)
    next_try_at = models.DateTimeField(null=True, help_text="Empty while parked: it waits for a person.")
    applied_at = ArrayField(
        models.DateTimeField(null=True),
        db_default=[],
        help_text="When the events up to `last` were applied, the newest last. A skipped event has no time.",
    )
    repeats = models.IntegerField(db_default=0, help_text="Records of applied events that were dropped.")
    repeated_at = models.DateTimeField(null=True, help_text="When the last repeat was dropped.")
    # A trigger computes the fingerprint when the reason changes, and clears both columns when the key is unparked.
    fingerprint = models.TextField(null=True, help_text="The same for all parked keys of one cause.")
    traceback = models.TextField(null=True, help_text="The traceback of the last failure, shortened.")

    class Meta:
        constraints = [models.UniqueConstraint(F("key"), F("topic"), F("consumer"), name="cursor_of_key")]
        indexes = [
            models.Index(fields=["consumer", "next_try_at"], name="cursor_parked", condition=~Q(parked_at=None)),
            models.Index(fields=["fingerprint", "parked_at", "id"], name="cursor_cause", condition=~Q(parked_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.consumer} {self.topic}/{self.key} at {self.last}"


class ParkedKey(Cursor):
    """A cursor of a parked key: events of the key are not applied until it is redriven."""

    class Meta:
        proxy = True
        verbose_name = "parked key"


class ShardLease(models.Model):
    """The relay that may forward a shard of the keys until a time (database clock).

    The epoch increases with each change of owner, so that a former owner is recognised.
    """

    shard = models.SmallIntegerField(primary_key=True)
    owner = models.TextField()
    epoch = models.BigIntegerField()
    until = models.DateTimeField()
    low_mark = models.BigIntegerField(
        db_default=0, help_text="Every row up to this position is published or waits behind a refused row."
    )

    def __str__(self) -> str:
        return f"shard {self.shard}: {self.owner} in epoch {self.epoch}"


class RelayMember(models.Model):
    """A running relay process, valid `until` a time. The shards are divided among all valid members."""

    owner = models.TextField(primary_key=True)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.owner


class ConsumerState(models.Model):
    """Whether a consumer is paused, by whom and why. A row without `paused_at` means the same as no row."""

    consumer = models.TextField(primary_key=True)
    paused_at = models.DateTimeField(null=True)
    paused_by = models.TextField(blank=True, db_default="", help_text="A person, or the circuit breaker.")
    reason = models.TextField(blank=True, db_default="")
    resume_at = models.DateTimeField(null=True, help_text="Time of the automatic resume; empty: a person resumes it.")

    def __str__(self) -> str:
        return f"{self.consumer}: {'paused' if self.paused_at else 'running'}"


class Settled(models.Model):
    """The position of the outbox up to which a consumer has applied, or parked, every event of a topic."""

    pk = models.CompositePrimaryKey("consumer", "topic")
    consumer = models.TextField()
    topic = models.TextField()
    position = models.BigIntegerField()


class Intervention(models.Model):
    """The audit of a manual change: who, what, before, after and why. Triggers make the table append-only."""

    at = models.DateTimeField(db_default=Now())
    actor = models.TextField()
    action = models.TextField(help_text="For example redrive, skip, edit, replay, pause, resume, prune, restore.")
    consumer = models.TextField(blank=True, db_default="")
    topic = models.TextField(blank=True, db_default="")
    key = models.TextField(blank=True, db_default="")
    sequence = models.BigIntegerField(null=True)
    before = models.TextField(blank=True, db_default="")
    after = models.TextField(blank=True, db_default="")
    reason = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["key"], name="intervention_of_key", condition=~Q(key=""))]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor} at {self.at:%Y-%m-%d %H:%M}"


class ForeignRecord(models.Model):
    """A record in Kafka that differs from the outbox row with its number, or has no row: forged, or a phantom.

    Consumers never apply it. They drop it silently once a person has explained it with relay_after_restore.
    """

    topic = models.TextField()
    key = models.TextField()
    sequence = models.BigIntegerField()
    event_id = models.TextField(help_text="The header ce_id of the record.")
    type = models.TextField()
    digest = models.TextField(help_text="The SHA-256 of type and body.")
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    found_at = models.DateTimeField(db_default=Now())
    explained_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                F("key"), F("topic"), F("sequence"), F("digest"), F("event_id"), name="foreign_record_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.topic}/{self.key} #{self.sequence} at {self.partition}@{self.offset}"


class Heartbeat(models.Model):
    """The time of a process's last completed round of work, and its counters since its start."""

    process = models.TextField(primary_key=True, help_text="The name, the host and the process number.")
    name = models.TextField(help_text="For example relay, inventory, celery. Several processes may share it.")
    started_at = models.DateTimeField()
    at = models.DateTimeField()
    figures = models.JSONField(db_default={}, help_text="Counters since the start, for the metrics page.")

    def __str__(self) -> str:
        return f"{self.process} at {self.at:%H:%M:%S}"
