"""Pages of notifications."""

from django.urls import path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("messages/<uuid:order_id>/", views.show_order_messages, name="order-messages"),
    path("staff/mailbox/", views.show_mailbox, name="mailbox"),
]
