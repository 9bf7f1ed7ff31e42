"""Addresses of the REST API of orders, below /api/v1/."""

from django.urls import path

import shop.catalogue.paths  # noqa: F401 - makes <sku:...> known
from orders.api import OrderList
from orders.api_cancel import CancelOrder
from orders.api_reading import OrderTimeline, OrderView
from orders.carts_api import CartLineList, CartLineView, CartList, CartView

urlpatterns = [
    path("carts/", CartList.as_view(), name="cart-list"),
    path("carts/<uuid:cart_id>/", CartView.as_view(), name="cart-detail"),
    path("carts/<uuid:cart_id>/lines/", CartLineList.as_view(), name="cart-line-list"),
    path("carts/<uuid:cart_id>/lines/<sku:sku>/", CartLineView.as_view(), name="cart-line-detail"),
    path("orders/", OrderList.as_view(), name="order-list"),
    path("orders/<uuid:order_id>/", OrderView.as_view(), name="order-detail"),
    path("orders/<uuid:order_id>/cancel/", CancelOrder.as_view(), name="order-cancel"),
    path("orders/<uuid:order_id>/timeline/", OrderTimeline.as_view(), name="order-timeline"),
]
