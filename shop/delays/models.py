"""The newest delay of each consumer. The sampler of the control room writes it; pages for customers read it."""

from django.db import models


class Delay(models.Model):
    """How late a consumer is, according to the newest sample."""

    consumer = models.TextField(primary_key=True)
    at = models.DateTimeField(help_text="When the figures were read, by the database's clock.")
    behind_seconds = models.FloatField(help_text="Age of the oldest event that waits and whose key is not parked.")
    is_away = models.BooleanField(help_text="The consumer is down or paused: nobody knows when it returns.")
    drain_seconds = models.FloatField(null=True, help_text="Predicted time to drain, if the consumer works now.")

    def __str__(self) -> str:
        return f"{self.consumer} is {self.behind_seconds:.0f} s behind"
