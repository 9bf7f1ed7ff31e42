"""The vault: payment tokens between the order and the first call to the gateway.

The statement that stores an order stores its token here, and the event carries only the reference. Payments takes the
token out in the transaction that stores the payment. No admin page and no API shows the table.
"""

from django.db import models
from django.db.models.functions import Now


class PaymentToken(models.Model):
    """A token of the payment gateway. It is deleted when payments takes it."""

    reference = models.UUIDField(primary_key=True)
    token = models.CharField(max_length=255)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"payment token {self.reference}"
