"""The number of activity events that were not recorded, because the page does not wait for them."""

from django.db import models


class NotRecorded(models.Model):
    """The activity events of one kind and minute that never reached the outbox."""

    pk = models.CompositePrimaryKey("minute", "type")
    minute = models.DateTimeField(help_text="Minute in which the events occurred.")
    type = models.TextField(help_text="The CloudEvents type, for example ProductViewed.v1.")
    count = models.IntegerField()
