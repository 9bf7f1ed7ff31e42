"""URLs of the catalogue in the REST API, below /api/v1/."""

from django.urls import path

import shop.catalogue.paths  # noqa: F401 - registers <sku:...>
from shop.catalogue.api import ProductDetail, ProductList

urlpatterns = [
    path("products/", ProductList.as_view(), name="product-list"),
    path("products/<sku:sku>/", ProductDetail.as_view(), name="product-detail"),
]
