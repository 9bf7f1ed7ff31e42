"""The outbox and the parked keys for staff."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import Client

from relay.cursors import find_due
from relay.models import Cursor, Outbox
from relay.outbox import publish
from tests.relay.events import BookLent

pytestmark = pytest.mark.django_db
OUTBOX, PARKED = "/admin/relay/outbox/", "/admin/relay/parkedkey/"
VIEW = ("view_outbox", "view_parkedkey")
LogIn = Callable[..., Client]


@pytest.fixture
def log_in(client: Client) -> LogIn:
    """A function that logs somebody of the staff in, who has these permissions."""

    def log_in_with(*permissions: str) -> Client:
        user = User.objects.create_user("somebody", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in_with


@pytest.fixture
def refused() -> Outbox:
    """A row that Kafka refuses."""
    with transaction.atomic():
        publish(BookLent(book=uuid4()))
    Outbox.objects.update(refused_reason="MessageSizeTooLargeError")
    return Outbox.objects.get()


@pytest.fixture
def parked() -> Cursor:
    """A key of a consumer that exists, which waits for a person; beside it one that flows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_cursor (consumer, topic, key, last, parked_at, reason, attempts) values"
            " ('orders', 'shop.inventory', 'k', 3, now(), 'ZeroDivisionError: boom', 5),"
            " ('orders', 'shop.inventory', 'flowing', 3, null, '', 0)"
        )
    return Cursor.objects.get(key="k")


def test_lists_and_details_open_for_who_may_look(log_in: LogIn, refused: Outbox, parked: Cursor) -> None:
    client = log_in(*VIEW)
    assert "MessageSizeTooLargeError" in client.get(OUTBOX).content.decode()
    assert refused.body.split('"')[3] in client.get(f"{OUTBOX}{refused.pk}/change/").content.decode()
    listed = client.get(PARKED).content.decode()
    assert "ZeroDivisionError: boom" in listed
    assert "flowing" not in listed
    assert client.get(f"{PARKED}{parked.pk}/change/").status_code == 200


def test_nothing_can_be_edited_added_or_deleted(log_in: LogIn, refused: Outbox, parked: Cursor) -> None:
    client = log_in(
        *VIEW, *(f"{verb}_{model}" for verb in ("add", "change", "delete") for model in ("outbox", "parkedkey"))
    )
    for address, row in [(OUTBOX, refused), (PARKED, parked)]:
        assert 'name="_save"' not in client.get(f"{address}{row.pk}/change/").content.decode()
        assert client.post(f"{address}{row.pk}/change/", {"key": "x"}).status_code == 403
        assert client.post(f"{address}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.get(f"{address}add/").status_code == 403


def test_a_parked_key_is_redriven(log_in: LogIn, parked: Cursor) -> None:
    client = log_in(*VIEW, "change_parkedkey")
    client.post(PARKED, {"action": "redrive", "_selected_action": [parked.pk]})
    parked.refresh_from_db()
    assert parked.attempts == 0
    assert find_due("orders") == [("shop.inventory", "k")]


def test_a_refused_row_is_sent_again(log_in: LogIn, refused: Outbox) -> None:
    client = log_in(*VIEW, "change_outbox")
    client.post(OUTBOX, {"action": "send_again", "_selected_action": [refused.pk]})
    refused.refresh_from_db()
    assert refused.refused_reason is None


@pytest.mark.parametrize("permissions", [(), VIEW])
def test_who_may_only_look_or_not_even_that_can_not_act(
    log_in: LogIn, refused: Outbox, parked: Cursor, permissions: tuple[str, ...]
) -> None:
    client = log_in(*permissions)
    client.post(PARKED, {"action": "redrive", "_selected_action": [parked.pk]})
    client.post(OUTBOX, {"action": "send_again", "_selected_action": [refused.pk]})
    refused.refresh_from_db()
    assert refused.refused_reason
    assert find_due("orders") == []
