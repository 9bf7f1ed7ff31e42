from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        """Register the system checks of the shop, and connect the catalogue with the apps that it does not know."""
        from analytics.pairs.search import list_companions
        from inventory.availability import list_available
        from shop import checks  # noqa: F401
        from shop.catalogue import companions

        companions.connect(list_companions, list_available)
