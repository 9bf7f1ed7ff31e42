"""A consumer of stock events that fails on request, and clients for staff who may look or act."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django.fixtures import Settings

from relay import Consumer, publish_many
from relay.consumer.cursors import take_parked
from relay.database import transaction
from relay.testing.delivery import deliver
from shop.events import StockBack, StockLow

# RELAY["CONSUMERS"] points to this consumer during a test.
current: Consumer | None = None
TOPIC = "shop.stock"


class Buyers:
    """A consumer that counts the applied events by id. `bug` raises the error of an event that fails."""

    def __init__(self) -> None:
        self.consumer = Consumer("buyers")
        self.applied: Counter[UUID] = Counter()
        self.tried: Counter[str] = Counter()
        self.bug: Callable[[StockLow], None] = lambda event: None
        self.consumer.on(StockLow)(self.handle)

    def handle(self, event: StockLow) -> None:
        self.tried[event.sku] += 1
        self.bug(event)
        self.applied[event.event_id] += 1

    def park(self, *skus: str, behind: int = 0) -> None:
        """Publish an event for each SKU and let it fail by division by zero. `behind` further events wait behind it."""

        def fail(event: StockLow) -> None:
            raise ZeroDivisionError(f"no price for piece {event.available} of order {event.event_id}")

        self.bug = fail
        publish_stock(*skus)
        for _ in range(behind):
            with transaction.atomic():
                publish_many([StockBack(sku=sku, available=7) for sku in skus])
        deliver(self.consumer, parked="allow")
        self.tried.clear()

    def work(self) -> None:
        """Try the keys that are due, as the consumer's process does."""
        while keys := take_parked("buyers"):
            for key in keys:
                self.consumer.catch_up(key)


def publish_stock(*skus: str) -> None:
    """Publish a StockLow for each SKU."""
    with transaction.atomic():
        publish_many([StockLow(sku=sku, available=number, low_at=5) for number, sku in enumerate(skus)])


@pytest.fixture
def buyers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Buyers:
    """Set the buyers as the only consumer, whose keys wait for a person after the first failure."""
    found = Buyers()
    monkeypatch.setattr("tests.control.mending.current", found.consumer)
    settings.RELAY = {**settings.RELAY, "CONSUMERS": ["tests.control.mending.current"], "RETRY_SECONDS": []}
    return found


def log_in(*permissions: str) -> Client:
    """Return a client for a staff user with permissions of the relay."""
    user = User.objects.create_user("-".join(permissions), is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="relay", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    """Staff who may look."""
    return log_in("view_outbox")


@pytest.fixture
def operator(db: None) -> Client:
    """Staff who may look and act."""
    return log_in("view_outbox", "change_parkedkey", "change_outbox", "change_consumerstate")
