"""Facts of orders and of their lines."""

from django.db import models
from django.db.models import Q


class OrderFact(models.Model):
    """One row per order. Every column but the id may be empty, because topics overtake one another.

    - `<milestone>_at`: time of the first event of that kind. Order funnel and durations: a cohort by `placed_at`.
      Payment: `authorized_at` or `declined_at`; stock: `reserved_at` or `rejected_at`.
    - `reason`: code of OrderCancelled, for example payment_declined. `decline_reason`: code of PaymentDeclined.
    - `currency`, `discount`, `shipping`, `tax`, `total`, `units`: from OrderPlaced. `total` includes `tax` and
      `shipping`; `units` is the number of pieces.
    - `refunded`: sum of all refunds, 0 without one. Net amount of an order: captured (`captured_at` is set) ?
      `total - refunded` : 0.
    - `nth_order`: 1 for the buyer's first order. `first_order_month`: "2026-05", the buyer's cohort.
      `first_this_month`: whether it is the buyer's first order of its month (UTC), to count buyers of a cohort once per
      month. Empty for events before OrderPlaced.v4. The row has no link to the buyer, the visitor or the contact.
    - `channel`: "web" or "api"; empty before v4.
    """

    order_id = models.UUIDField(primary_key=True)
    placed_at = models.DateTimeField(null=True)
    reserved_at = models.DateTimeField(null=True)
    rejected_at = models.DateTimeField(null=True)
    authorized_at = models.DateTimeField(null=True)
    declined_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    captured_at = models.DateTimeField(null=True)
    shipped_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    reason = models.TextField(null=True)
    decline_reason = models.TextField(null=True)
    currency = models.TextField(null=True)
    discount = models.BigIntegerField(null=True)
    shipping = models.BigIntegerField(null=True)
    tax = models.BigIntegerField(null=True)
    total = models.BigIntegerField(null=True)
    units = models.IntegerField(null=True)
    refunded = models.BigIntegerField(db_default=0)
    nth_order = models.IntegerField(null=True)
    first_order_month = models.TextField(null=True)
    first_this_month = models.BooleanField(null=True)
    channel = models.TextField(null=True)

    class Meta:
        ordering = ["-placed_at", "order_id"]
        indexes = [
            models.Index(fields=["placed_at"], name="orderfact_placed"),
            # Cohorts count these orders by month.
            models.Index(
                fields=["placed_at", "first_order_month"], name="orderfact_cohort", condition=Q(first_this_month=True)
            ),
        ]

    def __str__(self) -> str:
        return f"order {self.order_id}"


class OrderLineFact(models.Model):
    """One row per order and SKU.

    - `placed_at`, `quantity`, `unit_price`, `currency`: from OrderPlaced; empty if StockRejected arrived first.
    - `rejected_at`, `missing`: from StockRejected, only for lines with too little stock. `missing` is the number of
      pieces that were ordered and not available: the hard part of lost revenue is `missing * unit_price`.

    Pairs of products that are bought together: join the table with itself by `order_id`.
    """

    pk = models.CompositePrimaryKey("order_id", "sku")
    order_id = models.UUIDField()
    sku = models.TextField()
    placed_at = models.DateTimeField(null=True)
    quantity = models.IntegerField(null=True)
    unit_price = models.BigIntegerField(null=True)
    currency = models.TextField(null=True)
    rejected_at = models.DateTimeField(null=True)
    missing = models.IntegerField(null=True)
