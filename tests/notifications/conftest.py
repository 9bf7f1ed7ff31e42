"""A customer to write to, an order that changes, and a doorbell that only notes what was rung for."""

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
    """Somebody who ordered; hears of the order as notifications does."""

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
        """Do what notifications does on such an event, and return the event's id."""
        if event_class in (OrderConfirmed, OrderCancelled):
            fields = {"currency": "EUR", "total": 4999, "units": 2, **fields}
        event = event_class(order_id=self.order_id, number="FP-1001", contact_id=self.contact.pk, **fields)
        with transaction.atomic():
            write_messages([event])
        event_id: UUID = event.event_id
        return event_id

    def erase(self) -> None:
        """Do what erasing a person is: erase the contact's row."""
        Contact.objects.filter(pk=self.contact.pk).delete()

    def message(self, channel: str) -> Message:
        """The newest message through a channel."""
        return Message.objects.filter(order_id=self.order_id, channel=channel).latest("created_at")

    def send_all(self) -> None:
        """Do what Celery does for everything that waits."""
        send_messages()


@pytest.fixture(autouse=True)
def local_mail(settings: Any) -> None:
    """Use the local stand-ins; Django's test runner would put its own backend in their place."""
    settings.EMAIL_BACKEND = "notifications.mailbox.EmailBackend"


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that the doorbell was rung for; nothing goes to a broker."""
    names: list[str] = []
    monkeypatch.setattr("shop.workqueue.doorbell._ring_now", lambda task: names.append(task.name.rpartition(".")[2]))
    return names


@pytest.fixture
def shopper(request: pytest.FixtureRequest) -> Callable[..., Shopper]:
    """A function that makes a shopper, with a telephone unless told otherwise."""
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    return lambda phone="+4915112345678": Shopper(phone)
