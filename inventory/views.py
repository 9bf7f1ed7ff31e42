"""What is left of a product, as fragments that htmx puts into other apps' pages."""

import re

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from inventory.models import Stock
from shop.catalogue.models import SKU_PATTERN

MOST_SKUS = 100


@require_safe
@cache_control(no_store=True)
def show_availability(request: HttpRequest) -> HttpResponse:
    """Answer ``?sku=A&sku=B`` (at most 100) with one out-of-band span for each; what can be no SKU is left out."""
    skus = list(dict.fromkeys(sku for sku in request.GET.getlist("sku") if re.fullmatch(SKU_PATTERN, sku)))
    if len(skus) > MOST_SKUS:
        return HttpResponseBadRequest(f"sku: ask for at most {MOST_SKUS} at a time", content_type="text/plain")
    known = {stock.sku: stock for stock in Stock.objects.filter(sku__in=skus)}
    shown = [(sku, *describe_availability(known.get(sku))) for sku in skus]
    return render(request, "inventory/availability.html", {"shown": shown})


def describe_availability(stock: Stock | None) -> tuple[str, str]:
    """Return the level (``ok``, ``low`` or ``out``) of a SKU's stock, and the words for it."""
    if stock is None or stock.available <= 0:
        return "out", "Sold out"
    if stock.available <= stock.low_at:
        return "low", f"Only {stock.available} left"
    return "ok", "In stock"
