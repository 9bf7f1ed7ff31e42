"""Registration, log-in and log-out in the storefront."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from shop.catalogue.models import Category, Product
from tests.accounts.conftest import PASSWORD, make_email

pytestmark = pytest.mark.django_db


@pytest.fixture
def mug(db: None) -> Product:
    category = Category.objects.create(slug="home", name="Home")
    return Product.objects.create(sku="MUG", name="Mug", price=1250, category=category)


def test_a_visitor_registers_and_is_logged_in(client: Client) -> None:
    email = make_email()
    answer = client.post("/register/", {"email": email, "password": PASSWORD}, follow=True)
    assert answer.redirect_chain[-1][0] == "/orders/"
    assert email in client.get("/account/").content.decode()
    assert client.get("/log-in/").status_code == 302


def test_a_wrong_registration_is_refused(client: Client, ada: User) -> None:
    answer = client.post("/register/", {"email": ada.email, "password": PASSWORD})
    assert answer.status_code == 422
    assert "log in instead" in answer.content.decode()
    answer = client.post("/register/", {"email": "nonsense", "password": "short"})
    assert (answer.status_code, User.objects.count()) == (422, 1)


def test_a_wrong_password_logs_nobody_in_and_is_not_shown_again(client: Client, ada: User) -> None:
    answer = client.post("/log-in/", {"email": ada.email, "password": "something-else-1"})
    assert answer.status_code == 422
    assert "something-else-1" not in answer.content.decode()
    assert client.get("/account/").status_code == 302


def test_the_page_that_was_asked_for_follows_but_never_another_site(client: Client, ada: User) -> None:
    wanted = client.get("/account/")["Location"]
    assert wanted == "/log-in/?next=/account/"
    for next_page, follows in [
        ("/cart/", "/cart/"),
        ("https://evil.example/", "/orders/"),
        ("//evil.example", "/orders/"),
    ]:
        visitor = Client()
        answer = visitor.post("/log-in/", {"email": ada.email, "password": PASSWORD, "next": next_page})
        assert answer["Location"] == follows


def test_the_cart_is_kept_across_log_in(client: Client, ada: User, mug: Product) -> None:
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2})
    client.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    assert "Mug" in client.get("/cart/").content.decode()


def test_a_copy_of_the_cookie_is_worth_nothing_after_logging_out(client: Client, ada: User) -> None:
    client.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    thief = Client()
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    assert thief.get("/account/").status_code == 200
    client.post("/log-out/")
    assert thief.get("/account/").status_code == 302


def test_logging_out_needs_a_form_of_this_shop(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert client.get("/log-out/").status_code == 405
    assert client.post("/log-out/").status_code == 403


def test_a_new_log_in_changes_the_session(client: Client, ada: User, mug: Product) -> None:
    client.post("/cart/add/", {"sku": "MUG"})
    before = client.cookies["sessionid"].value
    client.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    assert client.cookies["sessionid"].value != before


def test_a_customer_is_no_staff_and_staff_log_in_under_their_name(client: Client, ada: User) -> None:
    staff = User.objects.create_superuser("keeper", password=PASSWORD)
    answer = client.post("/admin/login/", {"username": ada.email, "password": PASSWORD})
    assert (answer.status_code, client.get("/admin/").status_code) == (200, 302)
    client.post("/admin/login/", {"username": staff.username, "password": PASSWORD})
    assert client.get("/admin/").status_code == 200
    staff.auth_token_set.all().delete()  # type: ignore[attr-defined]
    assert client.get("/admin/").status_code == 302
