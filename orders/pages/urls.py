"""The pages of orders."""

from django.urls import path

import shop.catalogue.paths  # noqa: F401 - makes <sku:...> known
from orders.pages import checkout, history

app_name = "orders"
urlpatterns = [
    path("cart/", checkout.show_cart, name="cart"),
    path("cart/add/", checkout.add_to_cart, name="cart-add"),
    path("cart/lines/<sku:sku>/", checkout.change_line, name="cart-change"),
    path("checkout/", checkout.check_out, name="checkout"),
    path("orders/", history.show_own_orders, name="order-list"),
    path("orders/<uuid:order_id>/", checkout.show_order, name="order-detail"),
    path("orders/<uuid:order_id>/progress/", checkout.show_progress, name="order-progress"),
    path("orders/<uuid:order_id>/cancel/", checkout.cancel_order, name="order-cancel"),
]
