"""Payments, refunds and cases. A payment is also a queue row: `wanted` is its next operation at the gateway."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Operation(models.TextChoices):
    """An operation at the gateway."""

    authorize = "authorize"
    capture = "capture"
    void = "void"
    refund = "refund"


class Payment(models.Model):
    """The payment of one order. Its status is `refunded` when the whole captured amount was refunded.

    A payment that wants a refund has an open row in `refunds`. If its status is still `authorized`, a capture was
    started; the worker completes the capture first, because only the gateway knows its outcome.

    The gateway refused the capture of a `failed` payment, or did not carry it out in time. Staff capture it again, or
    cancel the order. Its authorization may have ended.

    A worker calls the gateway for a payment only while it holds the claim. Claims and pauses use the database's clock.
    """

    class Status(models.TextChoices):
        pending = "pending"
        authorized = "authorized"
        declined = "declined"
        captured = "captured"
        failed = "failed"
        voided = "voided"
        refunded = "refunded"

    class Wanted(models.TextChoices):
        authorize = "authorize"
        capture = "capture"
        void = "void"
        refund = "refund"
        nothing = "nothing"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField(unique=True)
    event_id = models.UUIDField(unique=True, help_text="Id of the OrderPlaced event.")
    amount = models.PositiveBigIntegerField(help_text="In minor units, for example cents.")
    currency = models.CharField(max_length=3)
    payment_token = models.CharField(max_length=255, blank=True, help_text="Deleted after the gateway's answer.")
    status = models.CharField(max_length=10, choices=Status, default=Status.pending)
    wanted = models.CharField(max_length=10, choices=Wanted, default=Wanted.authorize)
    reason = models.CharField(max_length=200, blank=True, help_text="Why the gateway declined or did not capture.")
    captured_amount = models.PositiveBigIntegerField(default=0, db_default=0, help_text="In minor units.")
    refunded_amount = models.PositiveBigIntegerField(default=0, db_default=0, help_text="In minor units.")
    gateway_reference = models.CharField(max_length=100, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="Until then only one worker may call.")
    due_at = models.DateTimeField(db_default=Now(), help_text="When a worker may claim it.")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-created_at"]
        permissions = [("refund_payment", "Can refund a captured payment")]
        indexes = [
            models.Index(fields=["due_at"], name="payment_due", condition=~Q(wanted="nothing")),
            models.Index(fields=["created_at"], name="payment_held", condition=Q(status__in=["authorized", "failed"])),
            models.Index(fields=["gateway_reference"], name="payment_of_reference", condition=~Q(gateway_reference="")),
        ]
        constraints = [
            models.CheckConstraint(
                name="payment_wants_what_can_be_done",
                condition=Q(status="pending", wanted__in=["authorize", "void"])
                | Q(status__in=["authorized", "failed"], wanted__in=["capture", "void", "refund", "nothing"])
                | Q(status="captured", wanted__in=["refund", "nothing"])
                | Q(status__in=["declined", "voided", "refunded"], wanted="nothing"),
            ),
            models.CheckConstraint(
                name="payment_gives_back_what_it_took",
                condition=Q(captured_amount__lte=F("amount"), refunded_amount__lte=F("captured_amount")),
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.id}"


class Refund(models.Model):
    """A refund of a part or all of a captured payment. A worker sends the one that is due first.

    The gateway has accepted a pending refund, but its outcome is open: a worker looks it up from time to time.
    """

    class Status(models.TextChoices):
        wanted = "wanted"
        pending = "pending"
        done = "done"
        declined = "declined"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    number = models.PositiveIntegerField(help_text="Position among the payment's refunds, from 1.")
    amount = models.PositiveBigIntegerField(help_text="In minor units of the payment's currency.")
    reason = models.CharField(max_length=200)
    requested_by = models.CharField(max_length=150, help_text="A staff member, or the id of an event.")
    status = models.CharField(max_length=10, choices=Status, default=Status.wanted)
    due_at = models.DateTimeField(db_default=Now(), help_text="When a worker may send it or look it up.")
    answer = models.CharField(max_length=200, blank=True, help_text="Why the gateway declined.")
    gateway_reference = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="Its id, if it was created at the gateway."
    )
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    OPEN: ClassVar = [Status.wanted, Status.pending]

    class Meta:
        ordering = ["payment_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["payment", "number"], name="refund_number"),
            models.UniqueConstraint(
                name="refund_at_gateway_once", fields=["gateway_reference"], condition=~Q(gateway_reference="")
            ),
            models.CheckConstraint(name="refund_of_something", condition=Q(amount__gt=0)),
        ]

    def __str__(self) -> str:
        return f"refund {self.number} of payment {self.payment_id}"


class Case(models.Model):
    """A problem with money for staff to solve. The same finding on a later day belongs to the same case."""

    class Kind(models.TextChoices):
        differs = "differs"
        unknown_entry = "unknown_entry"
        stuck = "stuck"
        refund_declined = "refund_declined"
        capture_failed = "capture_failed"
        expiring = "expiring"
        external_refund = "external_refund"
        disputed = "disputed"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="cases", null=True, blank=True)
    kind = models.CharField(max_length=20, choices=Kind)
    description = models.TextField()
    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    opened_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-opened_at", "-pk"]

    def __str__(self) -> str:
        return f"case {self.pk}: {self.description}"


class ReconcilingTurn(models.Model):
    """The lock of reconciliation, one row. A turn ends at `until`; the last full comparison began at `thorough_at`."""

    until = models.DateTimeField()
    thorough_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"turn until {self.until:%Y-%m-%d %H:%M:%S}"


class Hint(models.Model):
    """The id of a received webhook, stored to recognise duplicates."""

    id = models.CharField(primary_key=True, max_length=255)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="hint_received")]


class Attempt(models.Model):
    """One operation at the gateway, stored before the first call. Every retry uses the same idempotency key.

    A closed attempt is never called again, because the gateway would repeat its answer: the next call uses a new
    attempt, whose key ends with its number.
    """

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="attempts")
    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="attempts", null=True, blank=True)
    operation = models.CharField(max_length=10, choices=Operation)
    idempotency_key = models.CharField(max_length=64, unique=True)
    calls = models.PositiveIntegerField(default=0, help_text="Number of calls to the gateway.")
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When the last request was sent.")
    is_absent = models.BooleanField(db_default=False, default=False, help_text="The last lookup found no result.")
    cursor = models.CharField(
        max_length=100, blank=True, db_default="", default="", help_text="Where an unfinished lookup continues."
    )
    equal_errors = models.PositiveIntegerField(
        db_default=0, default=0, help_text="Number of equal errors of the gateway in a row."
    )
    is_closed = models.BooleanField(db_default=False, default=False, help_text="The next call needs a new key.")
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["started_at"]

    def __str__(self) -> str:
        return f"{self.operation} of payment {self.payment_id}"
