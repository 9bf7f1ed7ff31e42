"""URL converter for SKUs. Importing this module registers `<sku:...>`."""

from django.urls import register_converter

from shop.catalogue.models import SKU_PATTERN


class SkuConverter:
    """Matches a SKU, so that a view never gets an invalid SKU."""

    regex = SKU_PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(SkuConverter, "sku")
