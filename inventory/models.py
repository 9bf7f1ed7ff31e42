"""Tables of stock, reservations and the ledger of movements. Only services.py, reservations.py and
backorders.py write to them."""

from django.db import models
from django.db.models import F, Q


class Stock(models.Model):
    """The stock of a SKU: `on_hand` pieces in the warehouse, `reserved` of them held for orders."""

    sku = models.CharField("SKU", max_length=32, primary_key=True)
    on_hand = models.IntegerField()
    reserved = models.IntegerField(default=0)
    low_at = models.PositiveIntegerField(
        "low at",
        default=5,
        db_default=5,
        help_text="The stock is low when this number of pieces or fewer are available.",
    )
    waiting = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Orders that wait for pieces which undecided orders hold."
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
        """Pieces that new orders can reserve."""
        return self.on_hand - self.reserved


class Reservation(models.Model):
    """The quantity of a SKU that an order holds or held."""

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


class Backorder(models.Model):
    """A line of an order that waits for pieces which undecided orders hold. The rows of an order leave together."""

    order_id = models.UUIDField()
    event_id = models.UUIDField(help_text="Id of the OrderPlaced event.")
    sku = models.CharField("SKU", max_length=32)
    quantity = models.IntegerField()
    due_at = models.DateTimeField(help_text="When the order is rejected.")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["sku"], name="backorder_of_sku")]
        constraints = [
            models.UniqueConstraint(fields=["order_id", "sku"], name="backorder_once_per_order_and_sku"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="backorder_quantity_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.sku} wanted by order {self.order_id}"


class Movement(models.Model):
    """A change of a SKU's stock and its cause. The table is append-only: the sums of a SKU's movements are its stock.

    `event_id` is the event that caused the change. No event causes a receipt or a correction: it gets a new id.
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
    by = models.CharField(max_length=160, blank=True, db_default="", help_text="The person who caused it, if any.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Events arrive in id order: with `event_id` first, the index grows only at its end. An index by SKU makes
            # each reservation 5 % slower, and only the admin's search would use it.
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
