"""Addresses of the REST API of orders, below /api/v1/."""

from django.urls import path

from orders.api import OrderList, OrderView
from orders.api_cancel import CancelOrder

urlpatterns = [
    path("orders/", OrderList.as_view(), name="order-list"),
    path("orders/<uuid:order_id>/", OrderView.as_view(), name="order-detail"),
    path("orders/<uuid:order_id>/cancel/", CancelOrder.as_view(), name="order-cancel"),
]
