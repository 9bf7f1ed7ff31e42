"""Each wrong password makes the guesser wait longer, but never locks the owner out."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from shop.web import limits
from tests.accounts.conftest import PASSWORD, post

pytestmark = pytest.mark.django_db
Guess = Callable[..., Any]


@pytest.fixture(params=["Valkey", "one process"])
def counting(request: pytest.FixtureRequest, parts: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with counts in Valkey, and with counts in the process while Valkey is unavailable."""
    monkeypatch.setattr(limits, "_quiet_until", 0.0)
    if request.param == "one process":
        monkeypatch.setattr(limits, "_take", fail)
        monkeypatch.setattr(limits, "_attempt", fail)
    return str(request.param)


def fail(**_: object) -> None:
    raise redis.ConnectionError("away")


@pytest.fixture
def guess(client: Client) -> Iterator[Guess]:
    def send(user: User, password: str = "wrong-guess-1", address: str = "203.0.113.9") -> Any:
        client.defaults["REMOTE_ADDR"] = address
        return post(client, "tokens/", {"email": user.email, "password": password})

    yield send


def test_after_five_wrong_guesses_even_the_right_one_waits(counting: str, ada: User, guess: Guess) -> None:
    assert [guess(ada).status_code for _ in range(5)] == [400] * 5
    refused = guess(ada, PASSWORD)
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert int(refused["Retry-After"]) == 1


def test_the_owner_logs_in_from_elsewhere_meanwhile(counting: str, ada: User, guess: Guess) -> None:
    for _ in range(8):
        guess(ada)
    assert guess(ada).status_code == 429
    assert guess(ada, PASSWORD, address="198.51.100.4").status_code == 201


def test_a_right_guess_forgets_the_wrong_ones(counting: str, ada: User, guess: Guess) -> None:
    for _ in range(3):
        assert [guess(ada).status_code for _ in range(4)] == [400] * 4
        assert guess(ada, PASSWORD).status_code == 201


def test_the_pages_and_the_admin_wait_too(ada: User, guess: Guess, client: Client) -> None:
    for _ in range(5):
        guess(ada)
    for path, name in (("/log-in/", "email"), ("/admin/login/", "username")):
        answer = client.post(path, {name: ada.email, "password": PASSWORD}, REMOTE_ADDR="203.0.113.9")
        assert answer.status_code == 429, path
        assert "One moment" in answer.content.decode()
        assert int(answer["Retry-After"]) >= 1


def test_waits_double_up_to_a_quarter_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, now = limits.LocalCounts(), [1000.0]
    waits: list[float] = []
    monkeypatch.setattr("shop.web.limits.time.monotonic", lambda: now[0])
    for _ in range(17):
        assert counts.attempt("x") == 0
        waits.append(counts.attempt("x") if len(waits) >= 4 else 0)
        now[0] += waits[-1]
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_parallel_guesses_get_no_more_tickets_than_guesses_in_a_row(parts: object) -> None:
    name = f"test:{uuid4()}"
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: limits.attempt(name), range(200)))
    assert waits.count(0) == limits.FREE_ATTEMPTS


def test_valkey_contains_no_email_addresses(ada: User, guess: Guess) -> None:
    guess(ada)
    keys = redis.Redis.from_url(settings.LIMITS_URL).keys("*")
    assert isinstance(keys, list)
    assert keys
    assert [key for key in keys if ada.email.encode() in key] == []
