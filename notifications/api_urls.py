"""Addresses of messages in the REST API, below /api/v1/."""

from django.urls import path

from notifications.api import OrderMessages, OwnMessages

urlpatterns = [
    path("messages/", OwnMessages.as_view(), name="message-list"),
    path("orders/<uuid:order_id>/messages/", OrderMessages.as_view(), name="order-messages"),
]
