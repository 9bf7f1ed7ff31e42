"""Products and categories. Prices are integers in minor units of the shop's currency. Stock belongs to inventory."""

import re

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import (
    SearchQuery,
    SearchRank,
    SearchVector,
    SearchVectorField,
)
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q, QuerySet, Value
from django.urls import reverse

SKU_PATTERN = "[A-Z0-9][A-Z0-9-]{0,31}"
SEARCH_WORDS = 8


class Category(models.Model):
    """A category of products. Pages call it a shelf."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("catalogue:category", args=[self.slug])


class ProductQuerySet(QuerySet["Product"]):
    """Queries for products."""

    def on_sale(self) -> "ProductQuerySet":
        """Return the products that visitors may see and buy, with their categories."""
        return self.filter(is_active=True).select_related("category")

    def matching(self, text: str) -> "ProductQuerySet":
        """Return the products that contain, for each word of `text`, a word that begins with it; add their `rank`.

        A category's name and a complete SKU match, too. Characters other than letters, digits and hyphens are ignored.
        A text without letters and digits matches nothing.
        """
        words = re.findall(r"\w+", text)[:SEARCH_WORDS]
        if not words:
            return self.none().annotate(rank=Value(0.0))
        query = SearchQuery(
            " & ".join(f"{word}:*" for word in words),
            search_type="raw",
            config="english",
        )
        sku = re.sub(r"[^\w-]", "", text)
        shelves = Category.objects.filter(name__icontains=" ".join(words))
        found = self.filter(Q(search=query) | Q(sku__iexact=sku) | Q(category__in=shelves))
        return found.annotate(rank=SearchRank(F("search"), query))


class Product(models.Model):
    """One product. Other apps refer to it by its SKU."""

    sku = models.CharField(
        "SKU",
        max_length=32,
        primary_key=True,
        validators=[RegexValidator(rf"\A{SKU_PATTERN}\Z", "Use capital letters, digits and hyphens.")],
    )
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    price = models.PositiveIntegerField(help_text="In minor units, for example cents.")
    currency = models.CharField(max_length=3, default="EUR")
    most_per_customer = models.PositiveIntegerField(
        null=True, blank=True, help_text="Maximum for one customer over all orders; empty: no maximum."
    )
    picture = models.CharField(max_length=200, blank=True, help_text="A path below the static files.")
    is_active = models.BooleanField(default=True, help_text="Unticked: not shown and not sold.")
    created_at = models.DateTimeField(auto_now_add=True)
    search = models.GeneratedField(
        expression=SearchVector("name", config="english", weight="A")
        + SearchVector("description", config="english", weight="C"),
        output_field=SearchVectorField(),
        db_persist=True,
        editable=False,
    )

    objects = ProductQuerySet.as_manager()

    class Meta:
        ordering = ["name", "sku"]
        indexes = [
            GinIndex(fields=["search"], name="product_search"),
            models.Index(fields=["name", "sku"], name="product_listing"),
            models.Index(fields=["category", "name", "sku"], name="product_shelf"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("catalogue:product", args=[self.sku])


class CatalogueVersion(models.Model):
    """The version number of the catalogue, in a single row.

    Triggers set a new, unique number in each transaction that changes a product or a category. The row does not exist
    before the first change.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    number = models.BigIntegerField()
