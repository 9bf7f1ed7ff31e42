"""Times without stock."""

from django.db import models


class SoldOut(models.Model):
    """One row per interval in which a SKU had no available pieces: from StockLow with 0 to StockBack.

    `ended_at` is empty while the product is sold out. The soft part of lost revenue: views during the interval.
    """

    pk = models.CompositePrimaryKey("sku", "began_at")
    sku = models.TextField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["began_at"], name="soldout_began")]
