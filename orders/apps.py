from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        """Forget the buyer of each contact that is erased."""
        from shop.contacts.models import Contact

        post_delete.connect(forget_erased, sender=Contact, dispatch_uid="orders.forget_erased")


def forget_erased(instance: Any, **_sent: object) -> None:
    """Delete the count of the orders of the guest whose contact is deleted."""
    from orders.checkout.buyers import forget_buyer

    forget_buyer(instance.email)
