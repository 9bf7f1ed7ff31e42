"""The groups of staff: which tables and actions of the admin each one has, and what each one may do with an order."""

from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse

from notifications.mailbox import put_into_mailbox
from notifications.models import Message
from orders.models import Order
from shop.audit.models import StaffAction
from shop.web.order_access import sign_order
from tests.orders.conftest import name_events
from tests.security.routes import GROUPS

pytestmark = pytest.mark.django_db
STAFF = ["staff", *GROUPS, "admin"]
ROLES = import_module("shop.accounts.migrations.0001_roles")
#: Permissions of models that a later migration has deleted.
FORMER = {"analytics.view_sale", "analytics.view_salesminute", "analytics.view_activityminute"}
#: The groups that see a table in the admin; the superuser sees all. A new table fails the test until it has a row.
TABLES = {
    "analytics.orderfact": "finance",
    "audit.staffaction": "",
    "auth.group": "",
    "auth.user": "",
    "catalogue.category": "support warehouse",
    "catalogue.product": "support warehouse",
    "inventory.movement": "support warehouse",
    "inventory.reservation": "support warehouse",
    "inventory.stock": "support warehouse",
    "notifications.message": "support",
    "orders.order": "support warehouse finance operator",
    "orders.promotion": "finance",
    "payments.case": "finance",
    "payments.payment": "support finance",
    "relay.consumerstate": "operator",
    "relay.intervention": "operator",
    "relay.outbox": "operator",
    "relay.parkedkey": "operator",
    "relay.relaymember": "operator",
    "relay.shardlease": "operator",
}
#: The groups that have an action, or that may save a form ("add", "change").
ACTIONS = {
    ("inventory.stock", "add"): "warehouse",
    ("inventory.stock", "change"): "warehouse",
    ("notifications.message", "send_again"): "support",
    ("orders.order", "cancel"): "support",
    ("orders.order", "mark_delivered"): "warehouse",
    ("orders.order", "mark_shipped"): "warehouse",
    ("payments.case", "close"): "finance",
    ("payments.payment", "give_back"): "finance",
    ("relay.consumerstate", "pause"): "operator",
    ("relay.consumerstate", "resume"): "operator",
    ("relay.outbox", "send_again"): "operator",
    ("relay.parkedkey", "redrive"): "operator",
    ("relay.parkedkey", "skip"): "operator",
}


def test_each_group_sees_the_tables_of_its_row(people: dict[str, Client]) -> None:
    pages = {
        model._meta.label_lower: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }
    seen = {
        table: " ".join(group for group in GROUPS if people[group].get(page).status_code == 200)
        for table, page in pages.items()
    }
    assert seen == TABLES
    assert {people["admin"].get(page).status_code for page in pages.values()} == {200}
    assert {people["staff"].get(page).status_code for page in pages.values()} == {403}


def test_each_group_has_the_actions_of_its_row(people: dict[str, Client]) -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for group in GROUPS:
        request: Any = RequestFactory().get("/admin/")
        request.user = User.objects.get(username=f"{group}@example.org")
        for model, page in admin.site._registry.items():
            forms = [name for name in ("add", "change") if getattr(page, f"has_{name}_permission")(request)]
            for action in [*page.get_actions(request), *forms]:
                found.setdefault((model._meta.label_lower, action), []).append(group)
    assert {key: " ".join(groups) for key, groups in found.items()} == ACTIONS


@pytest.fixture
def letter(order: Order) -> Message:
    """Return a letter about the order, in the mailbox."""
    message = Message.objects.create(
        order_id=order.pk, event_id=uuid4(), contact_id=order.contact_id, kind="shipped", channel="email", body="Gone."
    )
    put_into_mailbox(Message.Channel.email, str(message.pk), "A letter to Ada.")
    return message


def shows(client: Client, path: str, words: str) -> bool:
    """Return whether the page opens for the client and contains `words`."""
    answer = client.get(path)
    return answer.status_code == 200 and words in answer.content.decode()


def see(client: Client, order: Order, letter: Message) -> set[str]:
    """Return the parts of the order that the client sees, by page, admin and API."""
    page = f"/orders/{order.pk}/"
    seen = {
        "page": shows(client, page, order.number),
        "progress": client.get(f"{page}progress/").status_code == 200,
        "messages": client.get(f"/messages/{order.pk}/").status_code == 200,
        "address": shows(client, page, "12 St James Square"),
        "cancel button": shows(client, page, f"{page}cancel/"),
        "mailbox": shows(client, "/staff/mailbox/", "A letter to Ada."),
        "recipient": shows(client, "/staff/mailbox/", "ada@example.org"),
        "admin": shows(client, reverse("admin:orders_order_change", args=[order.pk]), order.number),
        "letter": shows(client, reverse("admin:notifications_message_change", args=[letter.pk]), "Gone."),
        "API": client.get(f"/api/v1{page}").status_code == 200,
        "API messages": client.get(f"/api/v1{page}messages/").status_code == 200,
    }
    return {name for name, is_seen in seen.items() if is_seen}


_PAGE, _LETTERS = {"page", "progress", "messages", "admin"}, {"mailbox", "recipient", "letter"}
SEEN = {
    "staff": set[str](),
    "support": {*_PAGE, *_LETTERS, "address"},
    "warehouse": {*_PAGE, "address"},
    "finance": _PAGE,
    "operator": _PAGE,
    "admin": {*_PAGE, *_LETTERS, "address"},
    "owner": {"page", "progress", "messages", "address", "cancel button", "API", "API messages"},
}


@pytest.mark.parametrize("role", SEEN)
def test_a_role_sees_no_more_of_an_order_than_its_row_says(
    people: dict[str, Client], order: Order, letter: Message, role: str
) -> None:
    assert see(people[role], order, letter) == SEEN[role]


@pytest.mark.parametrize("role", STAFF)
def test_staff_do_not_cancel_through_the_customers_page(people: dict[str, Client], order: Order, role: str) -> None:
    cancel = f"/orders/{order.pk}/cancel/"
    with_token = f"/orders/{order.pk}/?token={sign_order(order.pk)}"  # from a letter in the mailbox
    assert people[role].post(cancel).status_code in (403, 404)
    people[role].get(with_token, follow=True)
    assert people[role].post(f"{cancel}?token={sign_order(order.pk)}").status_code in (403, 404)
    assert people[role].post(cancel).status_code in (403, 404)
    assert people[role].post(f"/api/v1{cancel}").status_code == 404
    order.refresh_from_db()
    assert order.status == "placed"


@pytest.mark.parametrize("role", STAFF)
def test_who_may_cancel_does_it_in_the_admin_under_their_name_with_a_reason(
    people: dict[str, Client], order: Order, role: str
) -> None:
    form = {"action": "cancel", "_selected_action": [str(order.pk)], "form_number": str(uuid4())}
    page = reverse("admin:orders_order_changelist")
    people[role].post(page, form)
    assert not StaffAction.objects.exists()  # no reason was given
    people[role].post(page, {**form, "reason": "Rang to say so."})
    order.refresh_from_db()
    if role not in ("support", "admin"):
        assert (order.status, StaffAction.objects.count()) == ("placed", 0)
        return
    by = f"admin:{role}@example.org"
    assert (order.status, order.reason) == ("cancelled", "cancelled_by_staff")
    step, row = order.history.get(event="CancelledByStaff"), StaffAction.objects.get()
    assert (step.by, step.note) == (by, "Rang to say so.")
    assert (row.actor, row.action, row.reason) == (by, "cancel", "Rang to say so.")
    assert name_events(order)[-1] == "OrderCancelled"


def test_staff_are_customers_of_their_own_orders(people: dict[str, Client], order: Order) -> None:
    Order.objects.update(customer=User.objects.get(username="staff@example.org"))
    assert shows(people["staff"], f"/orders/{order.pk}/", "12 St James Square")
    assert people["staff"].post(f"/orders/{order.pk}/cancel/").status_code == 302
    order.refresh_from_db()
    assert (order.reason, order.history.get(event="CancelRequested").by) == ("cancelled_on_request", "customer")


def test_staff_who_see_messages_but_no_orders_see_no_letter(people: dict[str, Client], letter: Message) -> None:
    group = Group.objects.get(name="support")
    group.permissions.remove(*group.permissions.filter(codename="view_order"))
    assert people["support"].get("/staff/mailbox/").status_code == 403
    assert people["support"].get(reverse("admin:notifications_message_changelist")).status_code == 403


def list_permissions(group: str) -> set[str]:
    """Return the group's permissions, for example ``orders.view_order``."""
    rows = Group.objects.get(name=group).permissions.values_list("content_type__app_label", "codename")
    return {".".join(row) for row in rows}


def test_the_migration_has_created_the_groups_with_their_permissions() -> None:
    wanted = {group: {name for name in names if name not in FORMER} for group, names in ROLES.GROUPS.items()}
    wanted["finance"].add("analytics.view_orderfact")
    assert {group: list_permissions(group) for group in GROUPS} == wanted


def test_a_second_run_keeps_the_sites_own_changes() -> None:
    support = Group.objects.get(name="support")
    support.permissions.remove(*support.permissions.filter(codename="cancel_order"))
    Group.objects.get(name="warehouse").delete()
    with connection.schema_editor() as editor:
        ROLES.create_groups(apps, editor)
    assert list_permissions("support") == {*ROLES.GROUPS["support"]} - {"orders.cancel_order"}
    assert list_permissions("warehouse") == {*ROLES.GROUPS["warehouse"]}
