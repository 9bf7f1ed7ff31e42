"""Finished days: their seals, and the files of the archive."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class DaySeal(models.Model):
    """One row per table and past day (UTC): its rows and checksum when the day was complete.

    Only tables whose rows depend on events of that day alone are sealed: activity, minute, product_hour. `restated_at`
    is the time of the last event that arrived after the seal, and `restated_rows` the number of these events.
    """

    pk = models.CompositePrimaryKey("day", "name")
    day = models.DateField()
    name = models.TextField(help_text="The table: activity, minute or product_hour.")
    rows = models.BigIntegerField()
    checksum = models.DecimalField(max_digits=40, decimal_places=0)
    sealed_at = models.DateTimeField(db_default=Now())
    restated_at = models.DateTimeField(null=True)
    restated_rows = models.BigIntegerField(db_default=0)

    class Meta:
        indexes = [models.Index(fields=["day"], name="dayseal_restated", condition=~Q(restated_at=None))]


class ArchivedDay(models.Model):
    """One row per file of the archive: a part of a day's activity, without `order_id` and visitors.

    A late event of a dropped day becomes a further part. `dropped_at` is empty until the partition is dropped: the file
    may then be missing or incomplete, and the table still has the rows.
    """

    pk = models.CompositePrimaryKey("day", "part")
    day = models.DateField()
    part = models.SmallIntegerField(help_text="1, or more for the rows of late events.")
    file = models.TextField(help_text="The name of the file in ANALYTICS_ARCHIVE_DIR.")
    rows = models.BigIntegerField()
    checksum = models.DecimalField(max_digits=40, decimal_places=0, help_text="Of the rows in the file.")
    bytes = models.BigIntegerField()
    archived_at = models.DateTimeField()
    dropped_at = models.DateTimeField(null=True)
