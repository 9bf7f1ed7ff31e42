"""Registration, log-in and log-out by the API."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from shop.tasks import end_old_log_ins
from tests.accounts.conftest import PASSWORD, log_in, make_email, post

pytestmark = pytest.mark.django_db
ME = "/api/v1/accounts/me/"


def test_who_registers_is_logged_in_and_no_token_is_stored(client: Client) -> None:
    email = make_email()
    answer = post(client, "accounts/", {"email": f" {email.upper()} ", "password": PASSWORD})
    assert answer.status_code == 201
    token = answer.json()["token"]
    assert client.get(ME, headers={"Authorization": f"Bearer {token}"}).json()["email"] == email
    row = AuthToken.objects.get()
    assert token not in (row.digest, row.token_key)
    assert len(row.digest) == 128
    user = User.objects.get(username=email)
    assert user.password.startswith("argon2$argon2id$")
    assert (user.is_staff, user.is_superuser) == (False, False)


def test_an_address_has_one_account_however_it_is_written(client: Client, ada: User) -> None:
    answer = post(client, "accounts/", {"email": ada.email.upper(), "password": PASSWORD})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "email")


@pytest.mark.parametrize("password", ["short-1", "password123", "1234567890123", "x" * 129, ""])
def test_a_weak_password_is_refused_with_its_reason(client: Client, password: str) -> None:
    answer = post(client, "accounts/", {"email": make_email(), "password": password})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "password")
    assert password == "" or password not in answer.content.decode()
    assert not User.objects.exists()


def test_a_password_like_the_address_is_refused(client: Client) -> None:
    email = make_email("grace-hopper")
    answer = post(client, "accounts/", {"email": email, "password": email})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "password")


def test_a_wrong_password_and_an_unknown_address_look_the_same(client: Client, ada: User) -> None:
    wrong = post(client, "tokens/", {"email": ada.email, "password": "something-else-1"})
    unknown = post(client, "tokens/", {"email": make_email(), "password": PASSWORD})
    assert wrong.status_code == unknown.status_code == 400
    assert wrong.json() == unknown.json()


def test_logging_out_ends_this_token_only(client: Client, ada: User) -> None:
    one, other = log_in(client, ada), log_in(client, ada)
    assert client.delete("/api/v1/tokens/current/", headers=one).status_code == 204
    assert client.get(ME, headers=one).status_code == 401
    assert client.get(ME, headers=other).status_code == 200


def test_logging_out_everywhere_ends_programs_and_browsers(client: Client, ada: User) -> None:
    program, browser = log_in(client, ada), Client()
    browser.post("/log-in/", {"email": ada.email, "password": PASSWORD})
    assert browser.get("/account/").status_code == 200
    assert client.delete("/api/v1/tokens/", headers=program).status_code == 204
    assert client.get(ME, headers=program).status_code == 401
    assert browser.get("/account/").status_code == 302


def test_a_token_runs_out(client: Client, ada: User) -> None:
    headers = log_in(client, ada)
    with time_machine.travel(timezone.now() + timedelta(days=14, seconds=5)):
        assert client.get(ME, headers=headers).status_code == 401
        end_old_log_ins()
    assert not AuthToken.objects.exists()


def test_a_token_of_an_account_that_was_closed_opens_nothing(client: Client, ada: User) -> None:
    headers = log_in(client, ada)
    User.objects.update(is_active=False)
    assert client.get(ME, headers=headers).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "x y", "ä", "%00", "9" * 64, "9" * 5000])
def test_a_wrong_token_is_a_401_that_says_how_to_log_in(client: Client, token: str) -> None:
    answer = client.get(ME, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"] == "Bearer"


def test_an_account_has_a_limited_number_of_log_ins(client: Client, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.accounts.sessions.MOST_LOG_INS", 3)
    headers = [log_in(client, ada) for _ in range(4)]
    assert AuthToken.objects.filter(user=ada).count() == 3
    assert client.get(ME, headers=headers[0]).status_code == 401
    assert client.get(ME, headers=headers[1]).status_code == 200


def test_no_cache_stores_answers_with_tokens(client: Client, ada: User) -> None:
    answer = post(client, "tokens/", {"email": ada.email, "password": PASSWORD})
    assert "no-store" in answer["Cache-Control"]
