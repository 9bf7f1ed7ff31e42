"""Counters per minute of event time. Each sale is also stored as a row, so that the counters can be verified."""

from django.db import models


class Kind(models.TextChoices):
    """The kind of order event that is counted."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Sale(models.Model):
    """The effect of one order event. `minute` is the start of the event's minute; `revenue` is in minor units."""

    event_id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=9, choices=Kind)
    order_id = models.UUIDField(db_index=True)
    units = models.IntegerField()
    revenue = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    minute = models.DateTimeField()

    class Meta:
        ordering = ["-minute", "event_id"]

    def __str__(self) -> str:
        return f"order {self.order_id} {self.kind}"


class SalesMinute(models.Model):
    """All sales of one kind and currency in one minute: orders, units, and revenue in minor units."""

    minute = models.DateTimeField()
    kind = models.CharField(max_length=9, choices=Kind)
    currency = models.CharField(max_length=3)
    orders = models.IntegerField()
    units = models.BigIntegerField()
    revenue = models.BigIntegerField()

    class Meta:
        ordering = ["-minute", "kind", "currency"]
        verbose_name_plural = "sales per minute"
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "kind", "currency"], name="salesminute_once_per_kind_and_currency"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.minute:%Y-%m-%d %H:%M}"


class ActivityMinute(models.Model):
    """The number of visitors' activities of one kind in one minute."""

    class Kind(models.TextChoices):
        VIEWED = "viewed"
        CART_CHANGED = "cart_changed"

    minute = models.DateTimeField()
    kind = models.CharField(max_length=12, choices=Kind)
    count = models.BigIntegerField()

    class Meta:
        ordering = ["-minute", "kind"]
        verbose_name_plural = "activity per minute"
        constraints = [models.UniqueConstraint(fields=["minute", "kind"], name="activityminute_once_per_kind")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.minute:%Y-%m-%d %H:%M}"
