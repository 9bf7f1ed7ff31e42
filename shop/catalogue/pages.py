"""The storefront's pages: home, shelves, search, product, and what is shown when a page cannot be."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from shop.activity import identify_visitor, record_activity
from shop.catalogue.models import Category, Product, ProductQuerySet
from shop.events import ProductViewed
from shop.problems import problem

PAGE_SIZE = 24
LONGEST_SEARCH = 100
GIFT_PRICE = 3000
MOST_GIFTS = 4
SORTS = {
    "name": ("Name", ("name", "sku")),
    "price": ("Price, low to high", ("price", "name", "sku")),
    "-price": ("Price, high to low", ("-price", "name", "sku")),
    "new": ("Newest", ("-created_at", "name", "sku")),
}


@require_safe
def show_home(request: HttpRequest) -> HttpResponse:
    """The front page: a way to each shelf, the finest piece of each, and small gifts."""
    by_shelf = Product.objects.on_sale().distinct("category__name")
    tiles = list(by_shelf.order_by("category__name", "price", "sku"))
    featured = list(by_shelf.order_by("category__name", "-price", "sku"))
    gifts = list(by_shelf.filter(price__lt=GIFT_PRICE).order_by("category__name", "-price", "sku"))
    # A product's stock is shown once on a page, since its element is found by its id.
    gifts = [gift for gift in gifts if gift not in featured][:MOST_GIFTS]
    context = {"tiles": tiles, "featured": featured, "gifts": gifts, "gift_price": GIFT_PRICE}
    return render(request, "catalogue/home.html", context | {"shown": featured + gifts})


@require_safe
def show_category(request: HttpRequest, slug: str) -> HttpResponse:
    """One shelf, page by page."""
    category = get_object_or_404(Category, slug=slug)
    products = Product.objects.on_sale().filter(category=category)
    return render_listing(request, "catalogue/category.html", products, "name", {"category": category})


@require_safe
def show_search(request: HttpRequest) -> HttpResponse:
    """What was found for ``?q=``, best first."""
    text = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    products = Product.objects.on_sale().matching(text)
    return render_listing(request, "catalogue/search.html", products, "best", {"text": text})


def render_listing(
    request: HttpRequest, template: str, products: ProductQuerySet, default_sort: str, context: dict[str, Any]
) -> HttpResponse:
    """Render one page of `products`: the whole page, or only its cards for htmx's "show more"."""
    sorts = {"best": ("Best match", ("-rank", "name", "sku")), **SORTS} if default_sort == "best" else SORTS
    sort = request.GET.get("sort", default_sort)
    sort = sort if sort in sorts else default_sort
    page = Paginator(products.order_by(*sorts[sort][1]), PAGE_SIZE).get_page(request.GET.get("page"))
    context |= {"page": page, "sort": sort, "sorts": [(key, label) for key, (label, _) in sorts.items()]}
    more = getattr(request, "htmx", False) and request.headers.get("HX-Target") == "more"
    return render(request, "catalogue/_cards.html" if more else template, context)


@require_safe
def show_product(request: HttpRequest, sku: str) -> HttpResponse:
    """One product, with others of its shelf."""
    product = get_object_or_404(Product.objects.on_sale(), sku=sku)
    related = list(Product.objects.on_sale().filter(category=product.category).exclude(sku=sku).order_by("?")[:4])
    if request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        record_activity(ProductViewed(visitor=identify_visitor(request), sku=sku))
    context = {"product": product, "related": related, "shown": [product, *related]}
    return render(request, "catalogue/product.html", context)


def show_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, as a problem for the API: what Django itself finds suspicious, such as a host that is not ours."""
    if request.path.startswith("/api/"):
        return problem(400, "The request is not one that the shop can read.")
    return render(request, "400.html", status=400)


def show_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404, as a problem for the API."""
    if request.path.startswith("/api/"):
        return problem(404, "There is nothing at this address.")
    return render(request, "404.html", status=404)


def show_server_error(request: HttpRequest) -> HttpResponse:
    """500, as a problem for the API."""
    if request.path.startswith("/api/"):
        return problem(500, "The shop made a mistake. It has been written down.")
    return render(request, "500.html", status=500)
