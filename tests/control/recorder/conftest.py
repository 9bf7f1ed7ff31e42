"""An order that went its whole way, and staff with and without the permissions of the recorder."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from inventory.services import receive_opening_stock
from orders.models import Order
from payments.settlement.calls import settle_due_payments
from relay.consumer.registry import all_consumers
from relay.testing import deliver
from tests.orders.conftest import PlaceOrder, make_body, place, products

__all__ = ["make_body", "place", "products"]

LOOK = ("relay.view_outbox", "orders.view_order")
WORK = ("payments.view_attempt", "payments.view_payment", "notifications.view_message")
LogIn = Callable[..., Client]


@pytest.fixture
def log_in(db: None) -> LogIn:
    """Return a function that logs a member of the staff in, with LOOK and the given permissions."""

    def log_in_with(*names: str) -> Client:
        user = User.objects.create_user(f"viewer-{User.objects.count()}", is_staff=True)
        for name in (*LOOK, *names):
            label, codename = name.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
        client = Client()
        client.force_login(user)
        return client

    return log_in_with


@pytest.fixture
def order(place: PlaceOrder) -> Order:
    """An order that is confirmed and captured, whose every event arrived twice."""
    receive_opening_stock({"LAMP": 5, "MUG": 9})
    placed = place()
    for _ in range(3):
        deliver(*all_consumers(), duplicate=1, seed=4)
        settle_due_payments()
    placed.refresh_from_db()
    assert (placed.status, placed.payment) == ("confirmed", "captured")
    return placed
