"""Tables of orders, their lines and history, carts, promotions and idempotency keys."""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from uuid_utils.compat import uuid7


class Order(models.Model):
    """An order and its current state. Amounts are integers in minor units of `currency`."""

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
        FAILED = "failed"
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
    stock = models.CharField(max_length=10, choices=Stock, default=Stock.PENDING, help_text="Inventory's answer.")
    payment = models.CharField(
        max_length=10, choices=Payment, default=Payment.PENDING, help_text="The payment's last known state."
    )
    reason = models.CharField(max_length=40, blank=True, help_text="Reason for the cancellation.")
    contact_id = models.UUIDField()
    currency = models.CharField(max_length=3)
    discount = models.PositiveBigIntegerField(db_default=0, default=0)
    shipping = models.PositiveBigIntegerField(db_default=0, default=0)
    tax = models.PositiveBigIntegerField(db_default=0, default=0, help_text="Included in the total.")
    total = models.PositiveBigIntegerField(help_text="Lines minus discount plus shipping.")
    placed_at = models.DateTimeField()
    deadline_at = models.DateTimeField(help_text="The order is cancelled at this time unless it is confirmed.")
    confirmed_at = models.DateTimeField(null=True)
    shipped_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-placed_at"]
        permissions = [("cancel_order", "Can cancel an order that is not shipped")]
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

    @property
    def subtotal(self) -> int:
        """The sum of the lines, in minor units of `currency`."""
        return self.total + self.discount - self.shipping


class OrderLine(models.Model):
    """A product in an order, with the name and the price that it had when the order was placed."""

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
    """A step in an order's history. The table is append-only."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="history")
    event = models.CharField(max_length=32, help_text="The saga's event, for example StockReserved.")
    event_id = models.UUIDField(unique=True)
    before = models.CharField(max_length=10, blank=True)
    after = models.CharField(max_length=10)
    at = models.DateTimeField()
    by = models.CharField(
        max_length=160, db_default="", help_text="The person who caused it: customer, or admin: and a user name."
    )
    note = models.CharField(max_length=200, db_default="", help_text="The reason that the person gave.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.event}: {self.before or 'nothing'} -> {self.after}"


class IdempotencyKey(models.Model):
    """The response to an idempotency key. It is stored in the transaction that stores the order."""

    key = models.CharField(
        max_length=280,
        primary_key=True,
        help_text="The key as it was sent. For a logged-in user, the user's id and a blank come first.",
    )
    request_hash = models.CharField(max_length=64)
    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="idempotency")
    answer = models.JSONField(help_text="The response without the access token, which is computed for each response.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [BrinIndex(fields=["created_at"], name="idempotencykey_oldest")]

    def __str__(self) -> str:
        return f"key of {self.order_id}"


class Cart(models.Model):
    """A cart. A customer has at most one. The id, which is random, gives access to a guest's cart."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="cart",
        help_text="Empty for a guest.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return "a customer's cart" if self.customer_id else "a guest's cart"


class CartLine(models.Model):
    """A product in a cart, with its quantity and the price that it had when it was added."""

    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="lines", db_index=False)
    sku = models.CharField("SKU", max_length=32)
    quantity = models.PositiveIntegerField()
    unit_price = models.PositiveIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["cart", "sku"], name="cartline_once")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"


class Promotion(models.Model):
    """A code that takes a percentage or an amount off an order. At most `uses` orders can use it."""

    class Kind(models.TextChoices):
        PERCENT = "percent"
        AMOUNT = "amount"

    code = models.CharField(
        max_length=32,
        primary_key=True,
        validators=[RegexValidator(r"\A[A-Z0-9-]{3,32}\Z", "Use 3 to 32 capital letters, digits and hyphens.")],
    )
    kind = models.CharField(max_length=10, choices=Kind)
    value = models.PositiveIntegerField(
        validators=[MinValueValidator(1)],
        help_text="A whole percentage, or an amount in minor units, for example cents.",
    )
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="The code is valid before this time, not at it.")
    uses = models.PositiveIntegerField(help_text="How many orders can use the code. A cancelled order does not count.")
    used = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(used__lte=F("uses")), name="promotion_not_overdrawn"),
            models.CheckConstraint(condition=Q(begins_at__lt=F("ends_at")), name="promotion_ends_after_it_begins"),
            models.CheckConstraint(
                condition=Q(value__gte=1) & (Q(kind="amount") | Q(value__lte=100)), name="promotion_at_most_all"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Redemption(models.Model):
    """The use of a promotion by an order."""

    order = models.OneToOneField(Order, on_delete=models.PROTECT, primary_key=True, related_name="redemption")
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="redemptions")
    amount = models.PositiveBigIntegerField(help_text="The discount in minor units of the order's currency.")
    given_back_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.promotion_id} on {self.order_id}"


class CappedPurchase(models.Model):
    """The quantity of a capped product in an order. Cancelled orders do not count toward the buyer's cap."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+")
    buyer = models.CharField(max_length=64, help_text="A customer's id, or a keyed hash of a guest's e-mail address.")
    sku = models.CharField("SKU", max_length=32)
    quantity = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["buyer", "sku"], name="cappedpurchase_buyer")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"


class Buyer(models.Model):
    """The number of a buyer's orders, cancelled ones included. Erasing a guest's contact deletes the row."""

    key = models.CharField(primary_key=True, max_length=64, help_text="The same key as in CappedPurchase.")
    orders = models.IntegerField()
    first_month = models.CharField(max_length=7, help_text="Month (UTC) of the first order, for example 2026-05.")
    last_month = models.CharField(max_length=7, help_text="Month (UTC) of the latest order.")
    month_orders = models.IntegerField(help_text="Number of orders in `last_month`.")

    def __str__(self) -> str:
        return f"{self.orders} orders since {self.first_month}"
