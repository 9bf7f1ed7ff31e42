"""URLs of the storefront's pages."""

from django.urls import path

import shop.catalogue.paths  # noqa: F401 - registers <sku:...>
from shop.catalogue import pages

app_name = "catalogue"
urlpatterns = [
    path("", pages.show_home, name="home"),
    path("c/<slug:slug>/", pages.show_category, name="category"),
    path("search/", pages.show_search, name="search"),
    path("p/<sku:sku>/", pages.show_product, name="product"),
]
