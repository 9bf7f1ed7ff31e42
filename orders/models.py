"""Orders, their lines, their history, and the answers that were given to idempotency keys."""

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.urls import reverse
from uuid_utils.compat import uuid7


class Order(models.Model):
    """An order and everything that is known about it. Amounts are integers in minor units of `currency`."""

    class Status(models.TextChoices):
        PLACED = "placed"
        CONFIRMED = "confirmed"
        SHIPPED = "shipped"
        DELIVERED = "delivered"
        CANCELLED = "cancelled"

    class Stock(models.TextChoices):
        PENDING = "pending"
        RESERVED = "reserved"
        REJECTED = "rejected"

    class Payment(models.TextChoices):
        PENDING = "pending"
        AUTHORIZED = "authorized"
        DECLINED = "declined"
        CAPTURED = "captured"
        VOIDED = "voided"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    number = models.CharField(max_length=16, unique=True)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="orders",
        db_index=False,
        help_text="Empty for a guest.",
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.PLACED)
    stock = models.CharField(max_length=10, choices=Stock, default=Stock.PENDING, help_text="What inventory answered.")
    payment = models.CharField(
        max_length=10, choices=Payment, default=Payment.PENDING, help_text="What payments said last."
    )
    reason = models.CharField(max_length=40, blank=True, help_text="Why it was cancelled.")
    contact_id = models.UUIDField()
    currency = models.CharField(max_length=3)
    total = models.PositiveBigIntegerField()
    placed_at = models.DateTimeField()
    deadline_at = models.DateTimeField(help_text="Cancelled by then unless confirmed.")
    confirmed_at = models.DateTimeField(null=True)
    shipped_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-placed_at"]
        indexes = [
            models.Index(fields=["-placed_at"], name="order_newest"),
            models.Index(fields=["deadline_at"], name="order_overdue", condition=Q(status="placed")),
            models.Index(
                fields=["customer", "-placed_at"], name="order_of_customer", condition=Q(customer__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("orders:order-detail", args=[self.pk])


class OrderLine(models.Model):
    """What was ordered, with name and price as they were then."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="lines")
    sku = models.CharField("SKU", max_length=32)
    name = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField()
    unit_price = models.PositiveIntegerField()
    line_total = models.PositiveBigIntegerField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.name}"


class Transition(models.Model):
    """One step in an order's history, and who took it and why when a person did. Append-only."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="history")
    event = models.CharField(max_length=32, help_text="What happened, for example StockReserved.")
    event_id = models.UUIDField(unique=True)
    before = models.CharField(max_length=10, blank=True)
    after = models.CharField(max_length=10)
    at = models.DateTimeField()
    by = models.CharField(max_length=160, db_default="", help_text="customer, or admin: and the user's name.")
    note = models.CharField(max_length=200, db_default="", help_text="Why, in the words of who did it.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.event}: {self.before or 'nothing'} -> {self.after}"


class IdempotencyKey(models.Model):
    """The answer that a caller's key was given, stored in the transaction of the order itself."""

    key = models.CharField(
        max_length=280,
        primary_key=True,
        help_text="As it was sent; after a user's id and a blank, if one was logged in.",
    )
    request_hash = models.CharField(max_length=64)
    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="idempotency")
    answer = models.JSONField(help_text="Without the access token, which is derived again.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [BrinIndex(fields=["created_at"], name="idempotencykey_oldest")]

    def __str__(self) -> str:
        return f"key of {self.order_id}"
