"""Fixtures for notifications: a customer with an order, local delivery, and a doorbell that only records rings."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from notifications.handlers import write_messages
from notifications.models import Message
from notifications.tasks import send_messages
from shop.contacts.models import Contact
from shop.events import OrderCancelled, OrderConfirmed


class Shopper:
    """A customer with one order. Events of the order are handled as in the notifications consumer."""

    def __init__(self, phone: str) -> None:
        self.order_id = uuid4()
        self.contact = Contact.objects.create(
            name="Ada Planted",
            email="ada.planted@mail.example",
            phone=phone,
            line1="Planted Row 1",
            postal_code="98765",
            city="Plantedville",
            country="DE",
        )

    def hear(self, event_class: type[Any], **fields: Any) -> UUID:
        """Let notifications handle an event of `event_class` about the order, and return the event's id."""
        if event_class in (OrderConfirmed, OrderCancelled):
            fields = {"currency": "EUR", "total": 4999, "units": 2, **fields}
        event = event_class(order_id=self.order_id, number="FP-1001", contact_id=self.contact.pk, **fields)
        with transaction.atomic():
            write_messages([event])
        event_id: UUID = event.event_id
        return event_id

    def erase(self) -> None:
        """Erase the customer's personal data by deleting the contact."""
        Contact.objects.filter(pk=self.contact.pk).delete()

    def message(self, channel: str) -> Message:
        """Return the newest message of a channel."""
        return Message.objects.filter(order_id=self.order_id, channel=channel).latest("created_at")

    def send_all(self) -> None:
        """Send all due messages, as a Celery worker does."""
        send_messages()


@pytest.fixture(autouse=True)
def local_mail(settings: Any) -> None:
    """Use the shop's local mail backend instead of the backend of Django's test runner."""
    settings.EMAIL_BACKEND = "notifications.mailbox.EmailBackend"


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the rung tasks. No ring reaches a broker."""
    names: list[str] = []
    monkeypatch.setattr("shop.workqueue.doorbell._ring_now", lambda task: names.append(task.name.rpartition(".")[2]))
    return names


@pytest.fixture
def shopper(request: pytest.FixtureRequest) -> Callable[..., Shopper]:
    """Return a function that creates a shopper, by default with a telephone number."""
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    return lambda phone="+4915112345678": Shopper(phone)
