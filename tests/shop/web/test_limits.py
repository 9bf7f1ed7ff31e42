"""Rate limits hold with parallel requests, and hold in each process while Valkey is unavailable."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from model_bakery import baker

from shop.accounts.sessions import issue_token
from shop.web import limits
from tests.orders.conftest import Api, MakeBody

#: Seconds until all permits are available again, much longer than a test.
SLOW = 86_400.0
DEFAULTS = django_settings.RATE_LIMITS


@pytest.fixture(params=["Valkey", "one process"])
def counting(request: pytest.FixtureRequest, parts: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with counts in Valkey, and with counts in the process."""
    monkeypatch.setattr(limits, "_quiet_until", 0.0)
    if request.param == "one process":
        monkeypatch.setattr(limits, "_take", lose_valkey)
    return str(request.param)


def lose_valkey(**_: object) -> None:
    raise redis.ConnectionError("away")


@pytest.fixture
def limited(settings: Any, parts: object) -> Iterator[Client]:
    """A client with a unique address and low rate limits."""
    settings.RATE_LIMITS_ON = True
    settings.RATE_LIMITS = {
        **{"read": (3, SLOW), "write": (5, SLOW), "page": (4, SLOW), "form": (5, SLOW)},
        **{"log-in": (2, SLOW), "register": (1, SLOW)},
    }
    part = uuid4().int
    yield Client(REMOTE_ADDR=f"2001:db8:{part % 65536:x}:{part // 65536 % 65536:x}::1")


def test_exactly_as_many_as_allowed_get_through_in_parallel(counting: str) -> None:
    name = f"test:{uuid4()}"
    with ThreadPoolExecutor(32) as pool:
        waits = list(pool.map(lambda _: limits.take(name, 50, SLOW), range(1000)))
    assert waits.count(0) == 50


def test_permits_grow_back_evenly(counting: str) -> None:
    name = f"test:{uuid4()}"
    assert [limits.take(name, 10, 1000) for _ in range(10)] == [0] * 10
    assert 99 < limits.take(name, 10, 1000) <= 100
    assert limits.take(f"test:{uuid4()}", 10, 1000) == 0


def test_a_dead_valkey_is_called_once_in_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def lose(**_: object) -> None:
        calls.append(1)
        raise redis.TimeoutError("slow")

    monkeypatch.setattr(limits, "_quiet_until", 0.0)
    monkeypatch.setattr(limits, "_take", lose)
    assert [limits.take("test", 1_000_000, SLOW) for _ in range(20)] == [0] * 20
    assert len(calls) == 1


@pytest.mark.django_db
def test_orders_and_limits_work_without_valkey(
    limited: Client, monkeypatch: pytest.MonkeyPatch, products: None, make_body: MakeBody
) -> None:
    monkeypatch.setattr(limits, "_quiet_until", 0.0)
    monkeypatch.setattr(limits, "_take", lose_valkey)
    api = Api(limited)
    assert [api.post(make_body()).status_code for _ in range(7)] == [201] * 5 + [429] * 2


@pytest.mark.django_db
def test_an_order_counts_once_also_when_it_is_refused(limited: Client, products: None, make_body: MakeBody) -> None:
    api = Api(limited)
    wrong = make_body(expected_total=1)
    assert [api.post(wrong).status_code for _ in range(6)] == [409] * 5 + [429]


@pytest.mark.django_db
def test_a_customers_orders_are_counted_for_the_customer(limited: Client, products: None, make_body: MakeBody) -> None:
    api, ada = Api(limited), f"Bearer {issue_token(baker.make(User))[1]}"
    assert [api.post(make_body(), Authorization=ada).status_code for _ in range(6)] == [201] * 5 + [429]
    assert api.post(make_body()).status_code == 201, "guests at the same address have a separate count"


@pytest.mark.django_db
def test_a_refusal_is_a_problem_that_says_how_long(limited: Client) -> None:
    statuses = [limited.get("/api/v1/products/").status_code for _ in range(3)]
    refused = limited.get("/api/v1/products/")
    assert (statuses, refused.status_code) == ([200] * 3, 429)
    assert refused["Content-Type"] == "application/problem+json"
    assert int(refused["Retry-After"]) == pytest.approx(SLOW / 3, abs=2)
    assert Client(REMOTE_ADDR="198.51.100.77").get("/api/v1/products/").status_code == 200


@pytest.mark.django_db
def test_registering_and_logging_in_have_limits_of_their_own(limited: Client) -> None:
    for path, count in (("/register/", 1), ("/log-in/", 2)):
        statuses = [limited.post(path, {}).status_code for _ in range(count + 1)]
        assert statuses == [422] * count + [429], path


@pytest.mark.django_db
def test_pages_have_a_limit_without_a_call_of_valkey(limited: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_take", lambda **_: pytest.fail("Valkey was called"))
    paths = ("/", "/search/?q=mug", "/stock/?sku=MUG", "/cart/")
    assert [limited.get(path).status_code for path in paths] == [200] * 4
    refused = limited.get("/")
    assert (refused.status_code, refused["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert int(refused["Retry-After"]) == pytest.approx(SLOW / 4, abs=2)
    assert "Please wait a few minutes" in refused.content.decode()
    assert refused["Content-Security-Policy"]
    assert Client(REMOTE_ADDR="198.51.100.78").get("/").status_code == 200


@pytest.mark.django_db
def test_health_metrics_static_files_and_webhooks_have_no_limit(limited: Client) -> None:
    for path, status in (("/healthz", 200), ("/metrics", 403), ("/static/catalogue/shop.css", 200)):
        assert [limited.head(path).status_code for _ in range(6)] == [status] * 6
    assert {limited.post("/webhooks/payments", {}).status_code for _ in range(8)} == {400}


@pytest.mark.django_db
def test_forms_have_a_limit_across_all_processes(counting: str, limited: Client, settings: Any, products: None) -> None:
    """In the attack that was found, one address added 330 products to carts in 17 s."""
    count, seconds = DEFAULTS["form"]
    assert count + 17 * count / seconds < 330
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "form": (count, SLOW)}
    statuses = [limited.post("/cart/add/", {"sku": "MUG", "quantity": 1}).status_code for _ in range(330)]
    assert 429 not in statuses[:count]
    assert set(statuses[count:]) == {429}


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "address"),
    [
        ("203.0.113.1", "", 0, "203.0.113.1"),
        ("203.0.113.1", "198.51.100.1", 0, "203.0.113.1"),
        ("10.0.0.1", "198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("10.0.0.1", "", 1, "unknown"),
        ("2001:db8:1:2:3::9", "", 0, "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.1", "", 0, "203.0.113.1"),
        ("", "", 0, "unknown"),
    ],
)
def test_an_address_is_read_through_as_many_proxies_as_there_are(
    settings: Any, peer: str, forwarded: str, proxies: int, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request: Any = RequestFactory().get("/", REMOTE_ADDR=peer, headers={"X-Forwarded-For": forwarded})
    assert limits.read_address(request) == address
