"""Counts of events by minute, by hour and product, and by minute of arrival."""

from django.db import models

from analytics.models.kinds import Kind


class Minute(models.Model):
    """One row per minute, kind and currency: the number of events, and their units and amounts.

    - `currency` is an empty text for kinds without an amount, for example viewed, reserved and shipped.
    - `units`: pieces of placed, confirmed and cancelled; of cart_changed and checkout_started the pieces in the event;
      else 0.
    - `amount`: the order's total for placed, confirmed and cancelled; the amount of a payment event; the cart's total
      of checkout_started; else 0. Gross revenue: placed or confirmed, as the page defines. Refunds: refunded.
    """

    pk = models.CompositePrimaryKey("minute", "kind", "currency")
    minute = models.DateTimeField()
    kind = models.TextField(choices=Kind)
    currency = models.TextField()
    count = models.BigIntegerField()
    units = models.BigIntegerField()
    amount = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["kind", "minute"], name="minute_of_kind")]


class ProductHour(models.Model):
    """One row per hour, SKU and currency.

    - `views` (ProductViewed) and `carts` (CartChanged with at least one piece) have the empty currency.
    - `ordered_*`, `confirmed_*`: pieces and amounts (quantity * unit price, before discount and shipping) in the hour
      of OrderPlaced and OrderConfirmed.
    - `rejected_*`: missing pieces of StockRejected and their amount, in the hour of the rejection.
    """

    pk = models.CompositePrimaryKey("hour", "sku", "currency")
    hour = models.DateTimeField()
    sku = models.TextField()
    currency = models.TextField()
    views = models.BigIntegerField(db_default=0)
    carts = models.BigIntegerField(db_default=0)
    ordered_units = models.BigIntegerField(db_default=0)
    ordered_amount = models.BigIntegerField(db_default=0)
    confirmed_units = models.BigIntegerField(db_default=0)
    confirmed_amount = models.BigIntegerField(db_default=0)
    rejected_units = models.BigIntegerField(db_default=0)
    rejected_amount = models.BigIntegerField(db_default=0)


class Arrival(models.Model):
    """One row per minute of event time and minute of arrival: the number of events.

    It answers how late events were (`arrived - minute`), and which part of a minute was known at an earlier time
    (`arrived <= that time`). A rebuild fills the table again, with its own times. Not part of any checksum.
    """

    pk = models.CompositePrimaryKey("minute", "arrived")
    minute = models.DateTimeField()
    arrived = models.DateTimeField(help_text="Minute of the database's clock in which the events were applied.")
    count = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["arrived"], name="arrival_arrived")]
