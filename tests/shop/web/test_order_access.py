"""Access to orders by token, session, owner and staff with permission."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.test import RequestFactory

from shop.web.order_access import is_customer, may_see_order, opens_order, remember_order, sign_order


def make_request(query: str = "", user: Any = None) -> Any:
    request = RequestFactory().get(f"/orders/{query}")
    request.session = {}  # type: ignore[assignment]
    request.user = user or AnonymousUser()
    return request


def test_the_token_of_an_order_is_the_same_every_time_and_fits_no_other() -> None:
    order, other = uuid4(), uuid4()
    assert sign_order(order) == sign_order(order) != sign_order(other)
    assert opens_order(sign_order(order), order)
    assert not opens_order(sign_order(other), order)


@pytest.mark.parametrize("token", ["", "x", "ä" * 43, "\0", "a" * 10_000])
def test_anything_else_opens_nothing(token: str) -> None:
    order = uuid4()
    assert not opens_order(token, order)
    assert not opens_order(sign_order(order) + token, order) or token == ""
    assert not opens_order(str(order), order)


def test_the_token_is_made_with_the_secret_key(settings: Any) -> None:
    order = uuid4()
    before = sign_order(order)
    settings.SECRET_KEY = "another"
    assert sign_order(order) != before


def test_a_visitor_sees_the_orders_of_the_session_and_the_newest_twenty_of_them() -> None:
    request = make_request()
    orders = [uuid4() for _ in range(25)]
    for order in [*orders, orders[10]]:
        remember_order(request, order)
    assert [may_see_order(request, order) for order in orders] == [False] * 5 + [True] * 20
    assert len(request.session["orders"]) == 20
    assert request.session["orders"][-1] == str(orders[10])


def test_the_token_in_the_address_opens_the_order() -> None:
    order = uuid4()
    assert may_see_order(make_request(f"?token={sign_order(order)}"), order)
    assert not may_see_order(make_request(f"?token={sign_order(uuid4())}"), order)
    assert not may_see_order(make_request(), order)


@pytest.mark.django_db
def test_staff_with_permission_see_every_order_and_others_who_are_logged_in_do_not() -> None:
    order = uuid4()
    keeper = User.objects.create(username="keeper", is_staff=True)
    assert not may_see_order(make_request(user=keeper), order)
    keeper.user_permissions.add(Permission.objects.get(codename="view_order"))
    for flags, sees in [({}, True), ({"is_active": False}, False), ({"is_staff": False}, False)]:
        user = User.objects.get(pk=keeper.pk)
        vars(user).update(flags)
        assert may_see_order(make_request(user=user), order) is sees
        assert not is_customer(make_request(f"?token={sign_order(order)}", user=User(is_staff=True)), order)
    assert not may_see_order(make_request(user=User(pk=1)), order)
