"""Products that are bought together with a product. The catalogue knows neither orders nor stock: `connect` does."""

import time
from collections.abc import Callable, Collection, Sequence

from shop.catalogue.models import Product

#: Companions that a page shows, and that are looked at: some are sold out or no longer sold.
MOST, MOST_CANDIDATES = 4, 24
#: A page shows pairs of at most this age.
PERIOD_SECONDS = 600

ListCompanions = Callable[[str, int], Sequence[str]]
ListAvailable = Callable[[Sequence[str]], Collection[str]]
_sources: list[tuple[ListCompanions, ListAvailable]] = []


def connect(list_companions: ListCompanions, list_available: ListAvailable) -> None:
    """Set the functions that return the companions of a SKU, the best first, and the SKUs with available pieces."""
    _sources[:] = [(list_companions, list_available)]


def find_companions(sku: str) -> list[Product]:
    """Return at most MOST products that are bought together with `sku`, on sale and in stock, the best first."""
    if not _sources:
        return []
    list_companions, list_available = _sources[0]
    wanted = list_companions(sku, MOST_CANDIDATES)
    available = list_available(wanted) if wanted else ()
    products = {product.sku: product for product in Product.objects.on_sale().filter(sku__in=list(available))}
    return [products[other] for other in wanted if other in products][:MOST]


def name_period() -> int:
    """Return the number of the current period of PERIOD_SECONDS, a part of the key of a cached page."""
    return int(time.time() // PERIOD_SECONDS)
