"""The storefront's pages."""

from django.http import HttpRequest, HttpResponse


def show_home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


def show_category(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse("c")


def show_search(request: HttpRequest) -> HttpResponse:
    return HttpResponse("s")


def show_product(request: HttpRequest, sku: str) -> HttpResponse:
    return HttpResponse("p")


def show_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse("404", status=404)


def show_server_error(request: HttpRequest) -> HttpResponse:
    return HttpResponse("500", status=500)
