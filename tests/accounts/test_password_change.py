"""The change of a password by its owner: page and API require the current one and end all other log-ins."""

import logging

import pytest
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from tests.accounts.conftest import PASSWORD, log_in

pytestmark = pytest.mark.django_db
NEW = "analytical-engine-1837"
PAGE, API = "/account/password/", "/api/v1/accounts/me/password/"


@pytest.fixture
def browser(client: Client, ada: User) -> Client:
    client.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    return client


def test_a_new_password_replaces_the_old_one_and_keeps_only_this_browser(browser: Client, ada: User) -> None:
    phone = Client()
    phone.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    token = log_in(Client(), ada)
    answer = browser.post(PAGE, {"current": PASSWORD, "new": NEW}, follow=True)
    assert "Your password is changed" in answer.content.decode()
    assert browser.get("/account/").status_code == 200
    assert phone.get("/account/").status_code == 302
    assert Client().get("/api/v1/accounts/me/", headers=token).status_code == 401
    assert Client().post("/log-in/", {"email": ada.email, "password": PASSWORD}).status_code == 422
    assert Client().post("/log-in/", {"email": ada.email, "password": NEW}).status_code == 302


@pytest.mark.parametrize(
    ("current", "new", "text"),
    [
        ("wrong-wrong-1", NEW, "The current password is wrong."),
        (PASSWORD, "short", "too short"),
        ("", NEW, "Current password is missing."),
    ],
)
def test_a_refused_change_says_why_and_changes_nothing(
    browser: Client, ada: User, current: str, new: str, text: str
) -> None:
    answer = browser.post(PAGE, {"current": current, "new": new})
    assert answer.status_code == 422
    assert text in answer.content.decode()
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


def test_the_page_needs_a_log_in(client: Client) -> None:
    assert client.get(PAGE)["Location"] == f"/log-in/?next={PAGE}"


def test_the_api_changes_the_password_and_answers_with_the_only_token(client: Client, ada: User) -> None:
    old = log_in(client, ada)
    answer = client.put(API, {"current": PASSWORD, "new": NEW}, content_type="application/json", headers=old)
    assert answer.status_code == 200, answer.content
    assert client.get("/api/v1/accounts/me/", headers=old).status_code == 401
    fresh = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert client.get("/api/v1/accounts/me/", headers=fresh).status_code == 200
    assert AuthToken.objects.filter(user=ada).count() == 1


@pytest.mark.parametrize(
    ("current", "new", "field"), [("wrong-wrong-1", NEW, "current"), (PASSWORD, "password123", "new")]
)
def test_the_api_names_the_wrong_field(client: Client, ada: User, current: str, new: str, field: str) -> None:
    body = {"current": current, "new": new}
    answer = client.put(API, body, content_type="application/json", headers=log_in(client, ada))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_log_ins_and_refusals_are_logged_without_addresses(
    client: Client, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.post("/log-in/", {"email": ada.email, "password": "wrong-wrong-1"})
    client.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    Client().get("/api/v1/accounts/me/")
    records = {record.message: record for record in caplog.records}
    assert {"log-in failed: wrong name or password", "logged in", "request refused"} <= records.keys()
    assert records["logged in"].user == ada.pk  # type: ignore[attr-defined]
    assert records["request refused"].status == 401  # type: ignore[attr-defined]
    assert not any(ada.email in str(record.__dict__) for record in caplog.records)
