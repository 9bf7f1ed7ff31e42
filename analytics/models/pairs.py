"""Products that are bought together."""

from django.db import models


class ProductPair(models.Model):
    """One row per product and other product: the number of placed orders that contain both.

    The consumer "bought_together" writes the table. A pair has two rows, one for each direction. An order counts
    when it is placed, also if it is cancelled later: the customer wanted both products.
    """

    pk = models.CompositePrimaryKey("sku", "other")
    sku = models.TextField()
    other = models.TextField()
    orders = models.BigIntegerField()
