"""The admin pages of orders: read-only, with actions for staff who have the permission."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from orders.lifecycle.saga import Happening
from orders.models import Order, OrderLine, Transition
from relay.models import Outbox
from shop.audit.models import StaffAction
from tests.orders.conftest import CONFIRMED, PAID, PlaceOrder, name_events

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"
LogIn = Callable[..., Client]
VIEW = ("view_order", "view_orderline", "view_transition")


@pytest.fixture
def log_in(client: Client) -> LogIn:
    """Return a function that logs in a staff user with the given permissions."""

    def log_in_with(*permissions: str, is_staff: bool = True) -> Client:
        user = User.objects.create_user("somebody", is_staff=is_staff)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in_with


def act(
    client: Client, action: str, *orders: Order, reason: str = "sold by mistake", form_number: str = ""
) -> list[str]:
    """Run an action on `orders` and return the messages of the page."""
    chosen = [str(order.pk) for order in orders]
    sent = {"action": action, "_selected_action": chosen, "reason": reason, "form_number": form_number or str(uuid4())}
    answer = client.post(LIST, sent, follow=True)
    assert answer.status_code == 200
    return [f"{message.level_tag}: {message}" for message in answer.context["messages"]]


def status_of(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


def test_staff_with_the_view_permission_can_open_list_and_detail(log_in: LogIn, place: PlaceOrder) -> None:
    order = place(*CONFIRMED)
    client = log_in(*VIEW)
    listed = client.get(LIST).content.decode()
    assert order.number in listed
    assert "€87.40" in listed
    assert client.get(LIST, {"q": order.number, "status": "confirmed"}).status_code == 200
    page = client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    for shown in (order.number, "Lamp", "StockReserved", "PaymentAuthorized", "OrderPlaced"):
        assert shown in page


def test_the_pages_have_no_fields_and_refuse_every_change(log_in: LogIn, place: PlaceOrder) -> None:
    order = place()
    client = log_in(*VIEW, "change_order", "add_order", "delete_order", "change_orderline", "delete_orderline")
    address = reverse("admin:orders_order_change", args=[order.pk])
    page = client.get(address).content.decode()
    typed_into = re.findall(r'name="((?:_save|lines-0-|history-0-|status|total|reason)[^"]*)"', page)
    assert set(typed_into) <= {f"{inline}-0-{hidden}" for inline in ("lines", "history") for hidden in ("id", "order")}
    assert "deletelink" not in page
    assert client.post(address, {"status": "delivered", "_save": "1"}).status_code == 403
    assert client.get(reverse("admin:orders_order_add")).status_code == 403
    assert client.post(reverse("admin:orders_order_delete", args=[order.pk]), {"post": "yes"}).status_code == 403
    act(client, "delete_selected", order)
    assert status_of(order) == "placed"
    assert OrderLine.objects.count() == 2


def test_staff_with_the_act_permission_can_ship_and_deliver(log_in: LogIn, place: PlaceOrder) -> None:
    order = place(*PAID)
    client = log_in(*VIEW, "change_order")
    assert act(client, "mark_shipped", order) == [f"success: Done: {order.number}."]
    assert status_of(order) == "shipped"
    assert act(client, "mark_delivered", order) == [f"success: Done: {order.number}."]
    assert status_of(order) == "delivered"
    assert name_events(order) == ["OrderPlaced", "OrderConfirmed", "OrderShipped", "OrderDelivered"]
    steps = order.history.values_list("event", "before", "after", "by").order_by("id")
    assert list(steps)[-2:] == [
        ("MarkedShipped", "confirmed", "shipped", "admin:somebody"),
        ("MarkedDelivered", "shipped", "delivered", "admin:somebody"),
    ]


@pytest.mark.parametrize("happenings", [(), (Happening.STOCK_RESERVED,), CONFIRMED, PAID])
def test_staff_may_cancel_an_order_until_it_is_shipped(
    log_in: LogIn, place: PlaceOrder, happenings: tuple[Happening, ...]
) -> None:
    order = place(*happenings)
    act(log_in(*VIEW, "cancel_order"), "cancel", order)
    order.refresh_from_db()
    assert (order.status, order.reason) == ("cancelled", "cancelled_by_staff")
    assert name_events(order)[-1] == "OrderCancelled"
    step = order.history.get(event="CancelledByStaff")
    assert (step.by, step.note) == ("admin:somebody", "sold by mistake")


def test_a_cancellation_needs_a_reason(log_in: LogIn, place: PlaceOrder) -> None:
    order = place()
    chosen = {"action": "cancel", "_selected_action": [str(order.pk)]}
    page = log_in(*VIEW, "cancel_order").post(LIST, chosen).content.decode()
    assert order.number in page
    assert 'name="reason"' in page
    assert status_of(order) == "placed"


def test_a_form_that_is_sent_twice_cancels_once_and_the_second_answer_says_so(log_in: LogIn, place: PlaceOrder) -> None:
    order, other = place(*PAID), place()
    client = log_in(*VIEW, "cancel_order")
    page = client.post(LIST, {"action": "cancel", "_selected_action": [str(order.pk)]}).content.decode()
    (number,) = re.findall(r'name="form_number" value="([^"]+)"', page)
    assert act(client, "cancel", order, form_number=number) == [f"success: Done: {order.number}."]
    again = act(client, "cancel", order, other, form_number=number)
    assert again[0].startswith(f"error: {order.number}: This form was already sent: admin:somebody did cancel")
    assert again[1:] == [f"success: Done: {other.number}."]
    assert name_events(order).count("OrderCancelled") == 1
    assert StaffAction.objects.filter(subject=f"orders.order:{order.pk}").count() == 1


def test_the_permission_to_change_orders_does_not_cancel_them(log_in: LogIn, place: PlaceOrder) -> None:
    order = place()
    act(log_in(*VIEW, "change_order"), "cancel", order)
    assert status_of(order) == "placed"


def test_no_event_contains_the_reason_of_a_cancellation(log_in: LogIn, place: PlaceOrder) -> None:
    order = place()
    act(log_in(*VIEW, "cancel_order"), "cancel", order, reason="Ada Lovelace rang")
    assert not Outbox.objects.filter(body__contains="Lovelace").exists()


@pytest.mark.parametrize(
    ("action", "happenings"),
    [
        ("mark_shipped", ()),
        ("mark_shipped", (Happening.PAYMENT_DECLINED,)),
        ("mark_delivered", CONFIRMED),
        ("mark_shipped", CONFIRMED),
        ("cancel", (*PAID, Happening.MARKED_SHIPPED)),
    ],
)
def test_an_impossible_action_shows_an_error_and_changes_nothing(
    log_in: LogIn, place: PlaceOrder, action: str, happenings: tuple[Happening, ...]
) -> None:
    order = place(*happenings)
    before = (status_of(order), Transition.objects.count(), Outbox.objects.count())
    (shown,) = act(log_in(*VIEW, "change_order", "cancel_order"), action, order)
    assert shown.startswith(f"error: {order.number}: ")
    assert (status_of(order), Transition.objects.count(), Outbox.objects.count()) == before


def test_an_order_that_fails_does_not_stop_the_others(log_in: LogIn, place: PlaceOrder) -> None:
    ready, waiting, also_ready = place(*PAID), place(), place(*PAID)
    shown = act(log_in(*VIEW, "change_order"), "mark_shipped", ready, waiting, also_ready)
    assert len(shown) == 2
    assert [status_of(order) for order in (ready, waiting, also_ready)] == ["shipped", "placed", "shipped"]


@pytest.mark.parametrize("action", ["mark_shipped", "mark_delivered", "cancel"])
def test_staff_with_only_the_view_permission_can_not_act(log_in: LogIn, place: PlaceOrder, action: str) -> None:
    order = place(*PAID, *([Happening.MARKED_SHIPPED] if action == "mark_delivered" else []))
    waiting = place()
    client = log_in(*VIEW)
    assert f'value="{action}"' not in client.get(LIST).content.decode()
    before = [status_of(order), status_of(waiting)]
    act(client, action, order, waiting)
    assert [status_of(order), status_of(waiting)] == before


@pytest.mark.parametrize("permissions", [(), ("view_transition",)])
def test_staff_without_permission_see_nothing_and_can_do_nothing(
    log_in: LogIn, place: PlaceOrder, permissions: tuple[str, ...]
) -> None:
    order = place(*CONFIRMED)
    client = log_in(*permissions)
    assert client.get(LIST).status_code == 403
    assert client.get(reverse("admin:orders_order_change", args=[order.pk])).status_code == 403
    answer = client.post(LIST, {"action": "mark_shipped", "_selected_action": [str(order.pk)]})
    assert answer.status_code == 403
    assert status_of(order) == "confirmed"


def test_customers_are_asked_to_log_in(log_in: LogIn, place: PlaceOrder) -> None:
    order = place(*CONFIRMED)
    client = log_in("change_order", *VIEW, is_staff=False)
    assert client.get(LIST)["Location"].startswith("/admin/login/")
    answer = client.post(LIST, {"action": "mark_shipped", "_selected_action": [str(order.pk)]})
    assert answer["Location"].startswith("/admin/login/")
    assert status_of(order) == "confirmed"
