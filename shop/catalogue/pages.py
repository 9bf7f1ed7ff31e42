"""The storefront's pages: home, category, search, product and the error pages."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from shop.activity.recording import identify_visitor, record_activity
from shop.catalogue.companions import find_companions, name_period
from shop.catalogue.models import Category, Product, ProductQuerySet
from shop.catalogue.shared_pages import show_shared
from shop.events import ProductViewed
from shop.web.problems import problem

PAGE_SIZE = 24
LONGEST_SEARCH = 100
LONGEST_PAGE_NUMBER = 4
Sort = tuple[str, tuple[str, ...]]
GIFT_PRICE = 3000
MOST_GIFTS = 4
SORTS: dict[str, Sort] = {
    "name": ("Name", ("name", "sku")),
    "price": ("Price, low to high", ("price", "name", "sku")),
    "-price": ("Price, high to low", ("-price", "name", "sku")),
    "new": ("Newest", ("-created_at", "name", "sku")),
}


@require_safe
def show_home(request: HttpRequest) -> HttpResponse:
    """Show the front page: links to the categories, the most expensive product of each category, and small gifts."""
    return show_shared(request, "home", "catalogue/home.html", find_highlights)


def find_highlights() -> dict[str, Any]:
    """Return the template variables of the front page."""
    by_shelf = Product.objects.on_sale().distinct("category__name")
    tiles = list(by_shelf.order_by("category__name", "price", "sku"))
    featured = list(by_shelf.order_by("category__name", "-price", "sku"))
    gifts = list(by_shelf.filter(price__lt=GIFT_PRICE).order_by("category__name", "-price", "sku"))
    # A page must not show a product twice, because the id of the element for its stock would not be unique.
    gifts = [gift for gift in gifts if gift not in featured][:MOST_GIFTS]
    return {"tiles": tiles, "featured": featured, "gifts": gifts, "gift_price": GIFT_PRICE, "shown": featured + gifts}


@require_safe
def show_category(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one page of a category."""
    sort, number = read_sort(request, SORTS, "name"), request.GET.get("page", "1")[:LONGEST_PAGE_NUMBER]
    template = choose_listing(request, "catalogue/category.html")

    def find_products() -> dict[str, Any]:
        category = get_object_or_404(Category, slug=slug)
        products = Product.objects.on_sale().filter(category=category)
        query = QueryDict(urlencode({"sort": sort} if sort != "name" else {}))
        return list_products(products, SORTS, sort, number) | {"category": category, "query": query}

    return show_shared(request, (template, slug, sort, number), template, find_products)


@require_safe
def show_search(request: HttpRequest) -> HttpResponse:
    """Show the products that match ``?q=``, best match first."""
    text = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    sorts = {"best": ("Best match", ("-rank", "name", "sku")), **SORTS}
    products = Product.objects.on_sale().matching(text)
    context = list_products(products, sorts, read_sort(request, sorts, "best"), request.GET.get("page", "1"))
    template = choose_listing(request, "catalogue/search.html")
    return render(request, template, context | {"text": text, "query": request.GET})


def read_sort(request: HttpRequest, sorts: Mapping[str, Sort], otherwise: str) -> str:
    """Return the key in `sorts` that the visitor has chosen, or `otherwise`."""
    sort = request.GET.get("sort", otherwise)
    return sort if sort in sorts else otherwise


def choose_listing(request: HttpRequest, template: str) -> str:
    """Return `template`, or the template of the cards only if htmx loads more cards."""
    more = getattr(request, "htmx", False) and request.headers.get("HX-Target") == "more"
    return "catalogue/_cards.html" if more else template


def list_products(products: ProductQuerySet, sorts: Mapping[str, Sort], sort: str, number: str) -> dict[str, Any]:
    """Return the template variables for page `number` of `products`, or for the nearest existing page."""
    page = Paginator(products.order_by(*sorts[sort][1]), PAGE_SIZE).get_page(number)
    return {"page": page, "sort": sort, "sorts": [(key, label) for key, (label, _) in sorts.items()]}


@require_safe
def show_product(request: HttpRequest, sku: str) -> HttpResponse:
    """Show a product, with products that are bought together with it, and others of its category."""

    def find_product() -> dict[str, Any]:
        product = get_object_or_404(Product.objects.on_sale(), sku=sku)
        shelf = Product.objects.on_sale().filter(category=product.category)
        together = find_companions(sku)
        # A page must not show a product twice, because the id of the element for its stock would not be unique.
        others = shelf.exclude(sku__in=[sku, *(companion.sku for companion in together)])
        related = list(others.order_by("?")[:4])
        shown = [product, *together, *related]
        return {"product": product, "together": together, "related": related, "shown": shown}

    # Pairs change with each order and not with the catalogue, so a page is rendered again after a while.
    page = show_shared(request, ("product", sku, name_period()), "catalogue/product.html", find_product)
    if request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        record_activity(ProductViewed(visitor=identify_visitor(request), sku=sku))
    return page


def show_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 400 for a request that Django refuses, such as one with an unknown host; problem+json for the API."""
    if request.path.startswith("/api/"):
        return problem(400, "The shop can't read the request.")
    return render(request, "400.html", status=400)


def show_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 404; problem+json for the API."""
    if request.path.startswith("/api/"):
        return problem(404, "There is nothing at this address.")
    return render(request, "404.html", status=404)


def show_server_error(request: HttpRequest) -> HttpResponse:
    """Return 500; problem+json for the API."""
    if request.path.startswith("/api/"):
        return problem(500, "The shop has an internal error. The error is logged.")
    return render(request, "500.html", status=500)
