"""URLs of the pages of carts, the checkout and orders."""

from django.urls import path

import shop.catalogue.paths  # noqa: F401 - registers the path converter <sku:...>
from orders.pages import cart, checkout, history, order

app_name = "orders"
urlpatterns = [
    path("cart/", cart.show_cart, name="cart"),
    path("cart/add/", cart.add_to_cart, name="cart-add"),
    path("cart/lines/<sku:sku>/", cart.change_line, name="cart-change"),
    path("checkout/", checkout.check_out, name="checkout"),
    path("orders/", history.show_own_orders, name="order-list"),
    path("orders/<uuid:order_id>/", order.show_order, name="order-detail"),
    path("orders/<uuid:order_id>/progress/", order.show_progress, name="order-progress"),
    path("orders/<uuid:order_id>/cancel/", order.cancel_order, name="order-cancel"),
]
