"""Where the gateway reaches the shop."""

from django.urls import path

from payments import webhooks

app_name = "payments"
urlpatterns = [path("webhooks/payments", webhooks.receive_hint, name="hint-receive")]
