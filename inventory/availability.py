"""Which products have available pieces."""

from collections.abc import Sequence

from django.db.models import F

from inventory.models import Stock


def list_available(skus: Sequence[str]) -> set[str]:
    """Return the part of `skus` of which new orders can reserve at least one piece."""
    found = Stock.objects.filter(sku__in=list(skus), on_hand__gt=F("reserved"))
    return set(found.values_list("sku", flat=True))
