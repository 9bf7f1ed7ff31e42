"""HTML fragments with the availability of products. htmx inserts them into the pages of other apps."""

import re

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from inventory.models import Stock
from shop.catalogue.models import SKU_PATTERN

#: Largest number of SKUs in one request.
MOST_SKUS = 100


@require_safe
@cache_control(no_store=True)
def show_availability(request: HttpRequest) -> HttpResponse:
    """Return an out-of-band span for each SKU of ``?sku=A&sku=B``, at most MOST_SKUS. Skip values that are not SKUs."""
    skus = list(dict.fromkeys(sku for sku in request.GET.getlist("sku") if re.fullmatch(SKU_PATTERN, sku)))
    if len(skus) > MOST_SKUS:
        return HttpResponseBadRequest(f"Send at most {MOST_SKUS} values of sku.", content_type="text/plain")
    known = {stock.sku: stock for stock in Stock.objects.filter(sku__in=skus)}
    shown = [(sku, *describe_availability(known.get(sku))) for sku in skus]
    return render(request, "inventory/availability.html", {"shown": shown})


def describe_availability(stock: Stock | None) -> tuple[str, str]:
    """Return the level of a SKU's stock (``ok``, ``low`` or ``out``) and the text that customers see."""
    if stock is None or stock.available <= 0:
        return "out", "Sold out"
    if stock.available <= stock.low_at:
        return "low", f"Only {stock.available} left"
    return "ok", "In stock"
