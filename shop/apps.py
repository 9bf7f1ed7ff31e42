from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        """Register the system checks of the shop."""
        from shop import checks  # noqa: F401
