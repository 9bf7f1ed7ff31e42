"""Stock, what is held of it for orders, and the ledger of every change. Only services.py and reservations.py write."""

from django.db import models
from django.db.models import F, Q


class Stock(models.Model):
    """How many pieces of a SKU are in the house, and how many of those are held for orders."""

    sku = models.CharField("SKU", max_length=32, primary_key=True)
    on_hand = models.IntegerField()
    reserved = models.IntegerField(default=0)
    low_at = models.PositiveIntegerField(
        "low at", default=5, db_default=5, help_text="So many available pieces, or fewer, are told as too few."
    )

    class Meta:
        ordering = ["sku"]
        verbose_name_plural = "stock"
        constraints = [
            models.CheckConstraint(condition=Q(on_hand__gte=0), name="stock_on_hand_is_not_negative"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="stock_reserved_is_not_negative"),
            models.CheckConstraint(condition=Q(reserved__lte=F("on_hand")), name="stock_reserved_is_on_hand"),
        ]

    def __str__(self) -> str:
        return f"stock of {self.sku}"

    @property
    def available(self) -> int:
        """Pieces that the next order can have."""
        return self.on_hand - self.reserved


class Reservation(models.Model):
    """What one order holds, or held, of one SKU."""

    class State(models.TextChoices):
        HELD = "held"
        SOLD = "sold"
        RELEASED = "released"

    order_id = models.UUIDField()
    sku = models.CharField("SKU", max_length=32)
    quantity = models.IntegerField()
    state = models.CharField(max_length=8, choices=State)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["order_id", "sku"], name="reservation_once_per_order_and_sku"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="reservation_quantity_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.sku} for order {self.order_id}"


class Movement(models.Model):
    """One change of one SKU's stock and its cause. Append-only: the sums of all movements are the stock.

    `event_id` is the event that caused it; a receipt, which no event causes, has an id of its own.
    """

    class Kind(models.TextChoices):
        RECEIVED = "received"
        RESERVED = "reserved"
        RELEASED = "released"
        SOLD = "sold"
        RETURNED = "returned"
        ADJUSTED = "adjusted"

    sku = models.CharField("SKU", max_length=32)
    order_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=8, choices=Kind)
    on_hand_delta = models.IntegerField()
    reserved_delta = models.IntegerField()
    event_id = models.UUIDField()
    reason = models.CharField(max_length=200, blank=True)
    by = models.CharField(max_length=160, blank=True, db_default="", help_text="Who did it, when a person did.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # The event first: these come in the order of their ids, so that the index grows at its end. To have the
            # movements of a SKU found by it, too, would cost each reservation a twentieth; staff's search reads them.
            models.UniqueConstraint(fields=["event_id", "sku"], name="movement_once_per_event_and_sku"),
            models.CheckConstraint(
                name="movement_deltas_fit_kind",
                condition=Q(kind="received", order_id=None, on_hand_delta__gt=0, reserved_delta=0)
                | Q(kind="reserved", order_id__isnull=False, on_hand_delta=0, reserved_delta__gt=0)
                | Q(kind="released", order_id__isnull=False, on_hand_delta=0, reserved_delta__lt=0)
                | Q(kind="sold", order_id__isnull=False, on_hand_delta__lt=0, reserved_delta=F("on_hand_delta"))
                | Q(kind="returned", order_id__isnull=False, on_hand_delta__gt=0, reserved_delta=0)
                | Q(kind="adjusted", order_id=None, reserved_delta=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.sku}"
