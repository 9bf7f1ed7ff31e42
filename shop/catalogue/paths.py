"""What a SKU looks like in an address. Importing this module makes `<sku:...>` known to routes."""

from django.urls import register_converter

from shop.catalogue.models import SKU_PATTERN


class SkuConverter:
    """Matches a SKU, so that no view is asked for anything that cannot be one."""

    regex = SKU_PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(SkuConverter, "sku")
