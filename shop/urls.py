"""All URLs of the shop. Pages load the fragments of other apps by URL, so the apps do not import each other."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from relay.health.metrics import answer_metrics
from shop.accounts.pages import log_in_staff
from shop.health import answer_health

# Django tries the patterns in order, so the most frequent ones are first.
api = [
    path("", include("orders.api.urls")),
    path("", include("shop.catalogue.api_urls")),
    path("", include("notifications.api_urls")),
    path("", include("shop.accounts.api_urls")),
    path("", include("analytics.api_urls")),
]
urlpatterns = [
    path("api/v1/", include(api)),
    path("admin/login/", log_in_staff),
    path("admin/", admin.site.urls),
    path("control/", include("shop.control.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path(
        "api/docs/",
        SpectacularSwaggerView.as_view(url_name="api-schema"),
        name="api-docs",
    ),
    path("healthz", answer_health, name="health"),
    path("metrics", answer_metrics, name="metrics"),
    path("", include("shop.catalogue.urls")),
    path("", include("shop.accounts.urls")),
    path("", include("orders.pages.urls")),
    path("", include("inventory.urls")),
    path("", include("notifications.urls")),
    path("", include("payments.webhooks")),
]
if settings.LAB:
    urlpatterns.append(path("lab/", include("shop.lab.urls")))
handler400 = "shop.catalogue.pages.show_bad_request"
handler404 = "shop.catalogue.pages.show_not_found"
handler500 = "shop.catalogue.pages.show_server_error"
