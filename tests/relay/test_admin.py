"""The admin pages of the relay: lists, search, filters, actions and permissions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import Client

from relay import publish, publish_many
from relay.consumer.cursors import take_parked
from relay.models import ConsumerState, Cursor, Intervention, Outbox
from relay.publisher.canary import CanarySent
from tests.relay.events import BookLent
from tests.relay.operated import set_low_watermark

pytestmark = pytest.mark.django_db
OUTBOX, PARKED = "/admin/relay/outbox/", "/admin/relay/parkedkey/"
VIEW = ("view_outbox", "view_parkedkey")
LogIn = Callable[..., Client]


@pytest.fixture
def log_in(client: Client) -> LogIn:
    """Return a function that logs in a staff user with the given permissions."""

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
    """A parked key of a registered consumer that waits for a person, and a second key that is not parked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_cursor (consumer, topic, key, last, parked_at, reason, attempts) values"
            " ('orders', 'shop.inventory', 'k', 3, now(), 'ZeroDivisionError: boom', 5),"
            " ('orders', 'shop.inventory', 'flowing', 3, null, '', 0)"
        )
    return Cursor.objects.get(key="k")


def test_the_outbox_is_filtered_by_topic_and_type_without_reading_all_of_it(log_in: LogIn) -> None:
    client, book = log_in(*VIEW), uuid4()
    with transaction.atomic():
        publish(BookLent(book=book))
    statements: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        shown = client.get(OUTBOX, {"topic": "test.library", "type": "BookLent.v1"}).content.decode()
    assert str(book) in shown
    assert not [sql for sql in statements if "DISTINCT" in sql.upper()]
    assert str(book) not in client.get(OUTBOX, {"topic": "relay.canary"}).content.decode()
    assert str(book) not in client.get(OUTBOX, {"type": "CanarySent.v1"}).content.decode()


def see_positions(client: Client, **parameters: str) -> list[int]:
    return [row.position for row in client.get(OUTBOX, parameters).context["cl"].result_list]


def test_canaries_are_hidden_in_the_outbox_unless_they_are_selected(log_in: LogIn) -> None:
    client = log_in(*VIEW)
    with transaction.atomic():
        publish(BookLent(book=uuid4()))
        publish(CanarySent())
    book, canary = Outbox.objects.order_by("position")
    assert see_positions(client) == [book.position]
    assert "All but relay.canary" in client.get(OUTBOX).content.decode()
    looked_for = [{"topic": canary.topic}, {"type": canary.type}, {"q": canary.key}, {"q": str(canary.event_id)}]
    assert [see_positions(client, **parameters) for parameters in looked_for] == [[canary.position]] * 4


def test_the_outbox_is_searched_by_whole_keys_and_by_ids_of_events(log_in: LogIn) -> None:
    client = log_in(*VIEW)
    with transaction.atomic():
        for _ in range(2):
            publish(BookLent(book=uuid4()))
    row = Outbox.objects.latest("position")
    assert see_positions(client, q=f" {row.key} ") == [row.position]
    assert see_positions(client, q=str(row.event_id)) == [row.position]
    assert see_positions(client, q=row.key[:8]) == see_positions(client, q=str(uuid4())) == []


def test_only_the_permission_to_read_payloads_shows_the_body_of_an_event(client: Client, refused: Outbox) -> None:
    page = f"{OUTBOX}{refused.pk}/change/"
    shown = []
    for number, permissions in enumerate([["view_outbox"], ["view_outbox", "view_payload"]]):
        user = User.objects.create_user(f"reader-{number}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        shown.append("&quot;book&quot;" in client.get(page).content.decode())
    assert shown == [False, True]


def test_the_state_filter_finds_unpublished_rows_without_reading_published_ones(log_in: LogIn, refused: Outbox) -> None:
    client = log_in(*VIEW)
    with transaction.atomic():
        for book in (uuid4(), UUID(refused.key), uuid4()):
            publish(BookLent(book=book))
    sent, behind, new = Outbox.objects.exclude(pk=refused.pk).order_by("position")
    Outbox.objects.filter(pk=sent.pk).update(published_at=sent.created_at)
    set_low_watermark(behind.position)
    assert see_positions(client, state="waiting") == [new.position, behind.position, refused.position]
    assert see_positions(client, state="refused") == [refused.position]


def test_the_outbox_is_counted_up_to_a_limit(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.admin.LISTED", 3)
    client = log_in(*VIEW)
    with transaction.atomic():
        publish_many([BookLent(book=uuid4()) for _ in range(5)])
    assert client.get(OUTBOX).context["cl"].result_count == 3
    assert see_positions(client)[0] == Outbox.objects.latest("position").position


def test_view_permission_opens_lists_and_details(log_in: LogIn, refused: Outbox, parked: Cursor) -> None:
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
    assert take_parked("orders") == [("shop.inventory", "k")]
    assert Intervention.objects.get().actor == "admin:somebody"


def test_a_refused_row_is_sent_again(log_in: LogIn, refused: Outbox) -> None:
    client = log_in(*VIEW, "change_outbox")
    client.post(OUTBOX, {"action": "send_again", "_selected_action": [refused.pk]})
    refused.refresh_from_db()
    assert refused.refused_reason is None


def test_an_event_is_skipped_with_a_reason_and_only_if_it_is_the_event_that_was_shown(
    log_in: LogIn, parked: Cursor
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("insert into relay_stream (topic, key, last) values ('shop.inventory', 'k', 5)")
    client = log_in(*VIEW, "change_parkedkey")
    chosen = {"action": "skip", "_selected_action": [parked.pk]}
    page = client.post(PARKED, chosen).content.decode()
    assert 'name="reason"' in page and f'name="last_{parked.pk}" value="3"' in page
    parked.refresh_from_db()
    assert parked.last == 3
    answer = client.post(PARKED, {**chosen, "reason": "typed wrong", f"last_{parked.pk}": "2"}, follow=True)
    assert "waits at event 4, not at 3" in answer.content.decode()
    client.post(PARKED, {**chosen, "reason": "typed wrong", f"last_{parked.pk}": "3"})
    parked.refresh_from_db()
    assert parked.last == 4
    audit = Intervention.objects.get()
    assert (audit.actor, audit.action, audit.sequence, audit.reason) == ("admin:somebody", "skip", 4, "typed wrong")


def test_a_consumer_is_paused_with_a_reason_and_resumed(log_in: LogIn) -> None:
    client = log_in("view_consumerstate", "change_consumerstate")
    address = "/admin/relay/consumerstate/"
    assert "inventory" in client.get(address).content.decode()
    chosen = {"action": "pause", "_selected_action": ["inventory"]}
    assert 'name="reason"' in client.post(address, chosen).content.decode()
    client.post(address, {**chosen, "reason": "stocktaking"})
    state = ConsumerState.objects.get(consumer="inventory")
    assert state.paused_at and (state.paused_by, state.reason) == ("admin:somebody", "stocktaking")
    client.post(address, {"action": "resume", "_selected_action": ["inventory"]})
    state.refresh_from_db()
    assert state.paused_at is None
    assert [audit.action for audit in Intervention.objects.order_by("id")] == ["pause", "resume"]


def test_leases_members_and_the_audit_are_shown(log_in: LogIn) -> None:
    Intervention.objects.create(actor="eve", action="skip", reason="because")
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_shardlease (shard, owner, epoch, until) values (3, 'a:1', 7, now());"
            "insert into relay_relaymember (owner, until) values ('a:1', now())"
        )
    client = log_in("view_shardlease", "view_relaymember", "view_intervention")
    for page, word in [("shardlease", "a:1"), ("relaymember", "a:1"), ("intervention", "because")]:
        assert word in client.get(f"/admin/relay/{page}/").content.decode()


@pytest.mark.parametrize("permissions", [(), VIEW])
def test_users_without_the_change_permission_cannot_act(
    log_in: LogIn, refused: Outbox, parked: Cursor, permissions: tuple[str, ...]
) -> None:
    client = log_in(*permissions)
    client.post(PARKED, {"action": "redrive", "_selected_action": [parked.pk]})
    client.post(OUTBOX, {"action": "send_again", "_selected_action": [refused.pk]})
    refused.refresh_from_db()
    assert refused.refused_reason
    assert take_parked("orders") == []
