"""The pages of orders."""

from django.urls import path

import shop.catalogue.paths  # noqa: F401 - makes <sku:...> known
from orders import own_orders, pages

app_name = "orders"
urlpatterns = [
    path("cart/", pages.show_cart, name="cart"),
    path("cart/add/", pages.add_to_cart, name="cart-add"),
    path("cart/lines/<sku:sku>/", pages.change_line, name="cart-change"),
    path("checkout/", pages.check_out, name="checkout"),
    path("orders/", own_orders.show_own_orders, name="order-list"),
    path("orders/<uuid:order_id>/", pages.show_order, name="order-detail"),
    path("orders/<uuid:order_id>/progress/", pages.show_progress, name="order-progress"),
    path("orders/<uuid:order_id>/cancel/", pages.cancel_order, name="order-cancel"),
]
