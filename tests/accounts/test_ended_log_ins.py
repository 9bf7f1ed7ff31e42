"""After a log-out everywhere or a new password, no copy of a cookie and no token opens anything of the account."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from orders.models import Order
from shop.web.order_access import sign_order
from tests.accounts.conftest import PASSWORD, log_in
from tests.catalogue.conftest import ADDRESS, cart, mug, read_key, tent  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db
OTHER = "analytical-engine-1837"


@pytest.fixture
def browser(cart: Client, ada: User) -> Client:  # noqa: F811
    """Return a browser in which Ada ordered as a guest, logged in, ordered again, and has a full cart."""
    order_cart(cart)
    cart.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    cart.post("/cart/add/", {"sku": "MUG"})
    order_cart(cart)
    cart.post("/cart/add/", {"sku": "TENT"})
    return cart


def order_cart(browser: Client) -> None:
    answer = browser.post("/checkout/", {**ADDRESS, "idempotency_key": read_key(browser.get("/checkout/"))})
    assert answer.status_code == 302, answer.content.decode()


def copy_cookies(browser: Client) -> Client:
    """Return a thief's browser with the same cookies."""
    thief = Client()
    for name, cookie in browser.cookies.items():
        thief.cookies[name] = cookie.value
    return thief


def list_opened(browser: Client) -> list[str]:
    """Return the pages with data of a customer that the browser can open, and the cancellations it can send."""
    orders = Order.objects.order_by("placed_at").values_list("pk", flat=True)
    parts = ["/orders/{}/", "/orders/{}/progress/", "/messages/{}/"]
    pages = ["/account/", "/orders/", *(part.format(pk) for pk in orders for part in parts)]
    opened = [page for page in pages if browser.get(page).status_code == 200]
    opened += [f"cancel {pk}" for pk in orders if browser.post(f"/orders/{pk}/cancel/").status_code != 404]
    return opened + ["cart"] * ("Tunnel Tent" in browser.get("/cart/").content.decode())


def test_the_copy_opens_everything_before(browser: Client) -> None:
    assert len(list_opened(copy_cookies(browser))) == 2 + 2 * 4 + 1


def test_a_copied_cookie_opens_nothing_after_a_log_out_everywhere(browser: Client) -> None:
    thief = copy_cookies(browser)
    browser.post("/log-out/", {"everywhere": "1"})
    assert list_opened(thief) == []
    assert list_opened(browser) == []


def test_a_copied_cookie_opens_nothing_after_the_account_was_switched_off(browser: Client, ada: User) -> None:
    thief = copy_cookies(browser)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert list_opened(thief) == []


@pytest.mark.usefixtures("ada")
def test_a_guests_orders_stay_open_for_the_guest_and_after_the_log_in(cart: Client, ada: User) -> None:  # noqa: F811
    order_cart(cart)
    order = Order.objects.get()
    assert cart.get(f"/orders/{order.pk}/").status_code == 200
    cart.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    assert cart.get(f"/orders/{order.pk}/").status_code == 200
    assert Client().get(f"/orders/{order.pk}/", {"token": sign_order(order.pk)}).status_code == 302


def set_by_admin(ada: User) -> None:
    admin = Client()
    admin.force_login(User.objects.create_superuser("keeper"))
    form = {"password1": OTHER, "password2": OTHER, "usable_password": "true"}
    answer = admin.post(f"/admin/auth/user/{ada.pk}/password/", form)
    assert answer.status_code == 302, answer.content.decode()


def set_by_command(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt="": OTHER)
    call_command("changepassword", ada.username, verbosity=0)


def set_in_shell(ada: User) -> None:
    user = User.objects.get(pk=ada.pk)
    user.set_password(OTHER)
    user.save()


def set_by_update(ada: User) -> None:
    user = User.objects.get(pk=ada.pk)
    user.set_password(OTHER)
    User.objects.filter(pk=ada.pk).update(password=user.password)


def set_by_statement(ada: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("update auth_user set password = '!' where id = %s", [ada.pk])


def set_by_staff_themselves(ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    own = Client()
    own.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    form = {"old_password": PASSWORD, "new_password1": OTHER, "new_password2": OTHER}
    answer = own.post("/admin/password_change/", form)
    assert answer.status_code == 302, answer.content.decode()


@pytest.mark.parametrize(
    "set_password",
    [
        set_by_admin,
        set_by_command,
        set_in_shell,
        set_by_update,
        set_by_statement,
        set_by_staff_themselves,
    ],
)
def test_a_new_password_ends_all_sessions_and_tokens(
    browser: Client, ada: User, monkeypatch: pytest.MonkeyPatch, set_password: Callable[..., None]
) -> None:
    headers: Any = log_in(Client(), ada)
    assert Client().get("/api/v1/accounts/me/", headers=headers).status_code == 200
    set_password(ada, *([monkeypatch] if set_password is set_by_command else []))
    assert Client().get("/api/v1/accounts/me/", headers=headers).status_code == 401
    assert list_opened(browser) == []


def test_another_change_of_the_account_ends_no_log_in(ada: User) -> None:
    headers: Any = log_in(Client(), ada)
    ada.first_name = "Ada"
    ada.save()
    assert Client().get("/api/v1/accounts/me/", headers=headers).status_code == 200
