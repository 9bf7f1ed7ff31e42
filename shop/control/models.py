"""Samples of the shop's state. Pages show samples, so that the number of viewers does not change the load."""

from django.db import models

from shop.control.ledger.models import (
    LedgerCheck,
    LedgerDifference,
    LedgerState,
    LedgerTotal,
    LedgerWindow,
    Verification,
)

__all__ = [
    "LedgerCheck",
    "LedgerDifference",
    "LedgerState",
    "LedgerTotal",
    "LedgerWindow",
    "Sample",
    "Verification",
]


class Sample(models.Model):
    """The figures of one period of SAMPLE_SECONDS. A row without figures was claimed by a sampler that is reading them.

    The period is the primary key, so that only one of several samplers reads the figures of a period.
    """

    period = models.BigIntegerField(primary_key=True, help_text="Unix time divided by the seconds between two samples.")
    at = models.DateTimeField(help_text="When the figures were read, by the database's clock.")
    figures = models.JSONField(null=True, help_text="See shop.control.figures.")

    def __str__(self) -> str:
        return f"sample at {self.at:%Y-%m-%d %H:%M:%S}"
