"""What the shop offers. Prices are integers in minor units of the shop's currency; stock belongs to inventory."""

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


class ProductQuerySet(QuerySet["Product"]):
    """Ways to look for products."""

    def on_sale(self) -> "ProductQuerySet":
        """What a visitor may see and buy, with its category."""
        return self.filter(is_active=True).select_related("category")

    def matching(self, text: str) -> "ProductQuerySet":
        """Products that hold every word of `text`, or words that begin with it, annotated with their `rank`.

        A category's name and a whole SKU match too. Anything but letters, digits and hyphens is ignored; a text
        without any matches nothing.
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
    """One article, known to every other app by its SKU."""

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
        null=True, blank=True, help_text="How many one customer may order altogether; empty: any number."
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
    """The one row whose number triggers change with each transaction that changes a product or a category.

    A number never comes back. Without a row, the catalogue has not been changed since there are triggers.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    number = models.BigIntegerField()
