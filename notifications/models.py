"""Messages to customers. They contain no name, address or telephone number: contacts holds personal data."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Message(models.Model):
    """One message about an order through one channel. A pending message is also a row of the sending queue.

    A worker sends a message only while it holds the claim. Claims and pauses use the database's clock. On every attempt
    the id serves as the provider's idempotency key and as the Message-ID of an e-mail.
    """

    class Kind(models.TextChoices):
        confirmed = "confirmed"
        shipped = "shipped"
        delivered = "delivered"
        cancelled = "cancelled"

    class Channel(models.TextChoices):
        email = "email", "e-mail"
        sms = "sms", "SMS"
        shop = "shop", "in the shop"

    class Status(models.TextChoices):
        pending = "pending"
        sent = "sent"
        failed = "failed"
        suppressed = "suppressed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField(db_index=True)
    event_id = models.UUIDField(help_text="Id of the order event.")
    contact_id = models.UUIDField()
    kind = models.CharField(max_length=10, choices=Kind)
    channel = models.CharField(max_length=5, choices=Channel)
    status = models.CharField(max_length=10, choices=Status, default=Status.pending)
    subject = models.CharField(max_length=120)
    body = models.TextField()
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=200, blank=True, help_text="Why it failed, waits or is suppressed.")
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="Until then only one worker may send it.")
    due_at = models.DateTimeField(db_default=Now(), help_text="When a worker may claim it.")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["event_id", "channel"], name="message_once_per_channel")]
        indexes = [
            models.Index(fields=["due_at"], name="message_due", condition=Q(status="pending")),
            models.Index(fields=["-created_at"], name="message_newest"),
        ]

    def __str__(self) -> str:
        return f"message {self.id}"


class Recipient(models.Model):
    """The times of the letters to one recipient, as a JSON list of seconds since 1970. recipients.py writes the rows.

    The key is a keyed hash of the address or number, and the row is deleted an hour after its last letter.
    """

    key = models.CharField(primary_key=True, max_length=64)
    times = models.JSONField()
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"recipient {self.key}"


class SandboxDelivery(models.Model):
    """A message delivered by the local replacements of mail and SMS. It contains no address."""

    channel = models.CharField(max_length=5, choices=Message.Channel)
    message_id = models.CharField(max_length=255, unique=True, help_text="Idempotency key; a repeat is dropped.")
    subject = models.CharField(max_length=255, blank=True)
    body = models.TextField()
    delivered_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-delivered_at", "-id"]
        verbose_name_plural = "sandbox deliveries"
        indexes = [models.Index(fields=["-delivered_at", "-id"], name="delivery_newest")]

    def __str__(self) -> str:
        return f"{self.channel} {self.message_id}"
