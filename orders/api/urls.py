"""URLs of the REST API for orders and carts, below /api/v1/."""

from django.urls import path

import shop.catalogue.paths  # noqa: F401 - registers the path converter <sku:...>
from orders.api.cancellation import CancelOrder
from orders.api.carts import CartLineList, CartLineView, CartList, CartView
from orders.api.history import OrderEvents, OrderTimeline, OrderView
from orders.api.placement import OrderList

urlpatterns = [
    path("carts/", CartList.as_view(), name="cart-list"),
    path("carts/<uuid:cart_id>/", CartView.as_view(), name="cart-detail"),
    path("carts/<uuid:cart_id>/lines/", CartLineList.as_view(), name="cart-line-list"),
    path("carts/<uuid:cart_id>/lines/<sku:sku>/", CartLineView.as_view(), name="cart-line-detail"),
    path("orders/", OrderList.as_view(), name="order-list"),
    path("orders/<uuid:order_id>/", OrderView.as_view(), name="order-detail"),
    path("orders/<uuid:order_id>/cancel/", CancelOrder.as_view(), name="order-cancel"),
    path("orders/<uuid:order_id>/timeline/", OrderTimeline.as_view(), name="order-timeline"),
    path("orders/<uuid:order_id>/events/", OrderEvents.as_view(), name="order-events"),
]
