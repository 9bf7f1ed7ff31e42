"""What the shop offers. Prices are integers in minor units of the shop's currency; stock belongs to inventory."""

from django.db import models
from django.urls import reverse


class Category(models.Model):
    """A shelf of the shop."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("catalogue:category", args=[self.slug])


class Product(models.Model):
    """One article, known to every other app by its SKU."""

    sku = models.CharField("SKU", max_length=32, primary_key=True)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    price = models.PositiveIntegerField(help_text="In minor units, for example cents.")
    currency = models.CharField(max_length=3, default="EUR")
    picture = models.CharField(max_length=200, blank=True, help_text="A path below the static files.")
    is_active = models.BooleanField(default=True, help_text="Unticked: not shown and not sold.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("catalogue:product", args=[self.sku])
