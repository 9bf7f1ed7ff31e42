"""Sums of finished days (UTC), which panels of 30 days read instead of orders, minutes and hours.

An hourly task stores the rows of a day in all tables. A later event that changes a row of the day, or an order of it,
deletes them, and the task stores them again; meanwhile panels read the day's orders, minutes and hours.
"""

from django.db import models


class OrderDay(models.Model):
    """One row per finished day (UTC) of the order, currency, buyer, and reasons of its failure: sums of its orders.

    - `buyer`: new, returning or unknown. `decline`, `cancellation`: the reason, empty for orders without it.
    - `placed` to `delivered`: orders that have reached the step. `<step>_waiting`: those that have not, and are not
      cancelled.
    """

    pk = models.CompositePrimaryKey("day", "currency", "buyer", "decline", "cancellation")
    day = models.DateField()
    currency = models.TextField()
    buyer = models.TextField()
    decline = models.TextField()
    cancellation = models.TextField()
    placed = models.BigIntegerField()
    ready = models.BigIntegerField()
    decided = models.BigIntegerField()
    confirmed = models.BigIntegerField()
    captured = models.BigIntegerField()
    shipped = models.BigIntegerField()
    delivered = models.BigIntegerField()
    confirmed_waiting = models.BigIntegerField()
    captured_waiting = models.BigIntegerField()
    shipped_waiting = models.BigIntegerField()
    amount = models.BigIntegerField(null=True)


class DurationDay(models.Model):
    """One row per finished day (UTC) of the order, step and rounded duration: the number of its orders.

    `seconds` has three digits, and hundredths below ten seconds.
    """

    pk = models.CompositePrimaryKey("day", "step", "seconds")
    day = models.DateField()
    step = models.TextField()
    seconds = models.FloatField()
    orders = models.BigIntegerField()


class MinuteDay(models.Model):
    """One row per finished day (UTC), kind and currency: the sums of its minutes."""

    pk = models.CompositePrimaryKey("day", "kind", "currency")
    day = models.DateField()
    kind = models.TextField()
    currency = models.TextField()
    count = models.BigIntegerField()
    amount = models.BigIntegerField()


class ProductDay(models.Model):
    """One row per finished day (UTC), SKU and currency: the sums of its hours."""

    pk = models.CompositePrimaryKey("day", "sku", "currency")
    day = models.DateField()
    sku = models.TextField()
    currency = models.TextField()
    views = models.BigIntegerField()
    units = models.BigIntegerField()
    amount = models.BigIntegerField()
