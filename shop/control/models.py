"""Samples of the shop's state, and the models of the control room's pages.

Pages show samples, so that the number of viewers does not change the load.
"""

from django.db import models

from shop.control.ledger.models import (
    LedgerCheck,
    LedgerDifference,
    LedgerState,
    LedgerTotal,
    LedgerWindow,
    Verification,
)
from shop.control.outages.models import Outage, Point
from shop.control.parked.models import CauseNote, Redrive, RedriveKey
from shop.control.replay.models import Replay

__all__ = [
    "CauseNote",
    "LedgerCheck",
    "LedgerDifference",
    "LedgerState",
    "LedgerTotal",
    "LedgerWindow",
    "Outage",
    "Point",
    "Redrive",
    "RedriveKey",
    "Replay",
    "Sample",
    "Verification",
]


class Sample(models.Model):
    """The figures of one period. A row without figures was claimed by a sampler that is reading them.

    The period is the primary key, so that only one of several samplers reads the figures of a period.
    """

    period = models.BigIntegerField(primary_key=True, help_text="Unix time of the period's beginning, in seconds.")
    at = models.DateTimeField(help_text="When the figures were read, by the database's clock.")
    figures = models.JSONField(null=True, help_text="See shop.control.figures.")
    is_troubled = models.BooleanField(db_default=False, help_text="Something is down or late: sample every second.")

    def __str__(self) -> str:
        return f"sample at {self.at:%Y-%m-%d %H:%M:%S}"
