from django.apps import AppConfig
from django.contrib import admin


class ControlConfig(AppConfig):
    name = "shop.control"
    label = "control"

    def ready(self) -> None:
        """Show the verdict on the admin's start page. UNFOLD["DASHBOARD_CALLBACK"] adds its figures."""
        admin.site.index_template = "control/admin_index.html"
