"""The fast reader of an order's body agrees with the serializer, and skips each body that the serializer refuses."""

import json
import subprocess
import sys
from copy import deepcopy
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from hypothesis import given, settings
from hypothesis import strategies as st
from model_bakery import baker

from orders.api.body import read_order
from orders.api.serializers import OrderRequest, PlacedOrder
from orders.checkout.statement import FIELDS
from orders.models import Order
from orders.prices.amounts import LINE_FIELDS
from shop.accounts.sessions import issue_token
from shop.web.parsers import StrictJSONParser
from tests.orders.conftest import ADDRESS, Api, MakeBody

TRICKY = [
    "",
    " ",
    " x",
    "x ",
    "x\n",
    "a\x00b",
    "\u2028",
    "\x85",
    "é",
    "\U0001f600",
    "\ud800",
    "ẞ x",
    "x" * 121,
    "\xa0x",
]
words = st.one_of(st.sampled_from(TRICKY), st.text(max_size=130), st.text("abc dé", min_size=1, max_size=20))
anything = st.one_of(words, st.none(), st.booleans(), st.integers(), st.floats(), st.just([]), st.just({}))
mails = st.one_of(
    words,
    st.emails(),
    st.sampled_from(["a@b.co", "a@b", "a..b@c.de", ".a@b.de", "a@-b.de", "a@b-.de", "a@[1.2.3.4]", "a@b.c\n"]),
)
phones = st.one_of(words, st.from_regex(r"\+?[0-9 ()/-]{3,22}"))
skus = st.one_of(words, st.sampled_from(["LAMP", "MUG", "mug", "A" * 32, "A" * 33, "-"]))
quantities = st.one_of(st.integers(-1, 1001), st.sampled_from([1.0, 1.5, "1", True, None, 1e400]))
lines = st.lists(st.fixed_dictionaries({"sku": skus, "quantity": quantities}), max_size=3)


def change(part: str, values: Any) -> Any:
    return st.tuples(st.just(part), values)


changes = st.one_of(
    change("email", mails),
    change("phone", phones),
    change("lines", lines),
    change("expected_total", st.one_of(st.integers(-1, 2**80), quantities)),
    change("payment_token", st.one_of(words, st.from_regex("[A-Za-z0-9_-]{2,130}"))),
    *[change(f"shipping_address.{name}", words) for name in ADDRESS],
    change("shipping_address.country", st.sampled_from(["DE", "de", "D", "DE\n", "ÄÖ"])),
    change("shipping_address.more", anything),
    *[change(name, anything) for name in ("email", "phone", "shipping_address", "lines", "promotion_code", "other")],
    change("shipping_address.line2", anything),
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(changes, max_size=3), st.lists(st.sampled_from(["phone", "lines", "email"]), max_size=1))
def test_both_readers_agree_on_every_body_that_the_fast_one_accepts(
    changed: list[tuple[str, Any]], left_out: list[str]
) -> None:
    body = make_plain()
    for path, value in changed:
        outer, _, inner = path.partition(".")
        if not inner:
            body[outer] = deepcopy(value)  # Hypothesis may draw an object twice; a copy never contains itself
        elif isinstance(body.get(outer), dict):
            body[outer][inner] = deepcopy(value)
    for name in left_out:
        body.pop(name, None)
    assert_the_same(json.dumps(body).encode())


def assert_the_same(body: bytes) -> bool:
    """Compare both readers for the same bytes. Return whether the fast reader accepted them."""
    quick = read_order(body)
    if quick is not None:
        request = OrderRequest(data=StrictJSONParser().parse(BytesIO(body)))
        assert request.is_valid(), request.errors
        assert json.dumps(quick) == json.dumps(request.validated_data)
    return quick is not None


visible = st.characters(exclude_categories=("C", "Z"))
names = st.one_of(st.text(visible, min_size=1, max_size=120), st.from_regex(r"\w+( \w+){1,3}", fullmatch=True))
usual = st.fixed_dictionaries(
    {
        "email": st.one_of(st.emails(), st.from_regex(r"[a-z0-9_+.-]{1,20}@[a-z0-9]{1,9}\.[a-z]{2,4}", fullmatch=True)),
        "shipping_address": st.fixed_dictionaries(
            {
                "name": names,
                "line1": names,
                "postal_code": st.from_regex(r"[A-Z0-9]([A-Z0-9 -]{0,15}[A-Z0-9])?", fullmatch=True),
                "city": names,
                "country": st.from_regex(r"[A-Z]{2}", fullmatch=True),
            },
            optional={"line2": st.one_of(st.just(""), names)},
        ),
        "lines": st.lists(
            st.fixed_dictionaries(
                {"sku": st.from_regex(r"[A-Z0-9-]{2,32}", fullmatch=True), "quantity": st.integers(1, 999)}
            ),
            min_size=1,
            max_size=4,
        ),
        "payment_token": st.from_regex(r"[A-Za-z0-9_-]{3,20}", fullmatch=True),
    },
    optional={
        "phone": st.from_regex(r"\+?[0-9][0-9 ()/-]{3,17}[0-9 ]", fullmatch=True),
        "expected_total": st.integers(0, 2**70),
    },
)


def test_both_readers_agree_on_random_valid_bodies() -> None:
    """The bodies vary in all fields at once, and in the JSON notation of the same value."""
    accepted = []

    @settings(max_examples=500, deadline=None, database=None)
    @given(usual, st.booleans(), st.sampled_from([None, 1, "\t"]))
    def compare(body: dict[str, Any], ascii_only: bool, indent: int | str | None) -> None:
        text = json.dumps(body, ensure_ascii=ascii_only, indent=indent)
        accepted.append(assert_the_same(text.encode()))

    compare()
    assert sum(accepted) > len(accepted) / 4, "the fast reader accepts too few bodies for a comparison"


def make_plain() -> dict[str, Any]:
    return {
        "email": "ada@example.org",
        "phone": "+44 20 7946 0018",
        "shipping_address": dict(ADDRESS),
        "lines": [{"sku": "LAMP", "quantity": 1}, {"sku": "MUG", "quantity": 3}],
        "payment_token": "tok_ok",
    }


def test_the_fast_reader_accepts_a_common_order() -> None:
    body = make_plain()
    assert read_order(json.dumps(body).encode()) == body
    del body["phone"], body["shipping_address"]["line2"]
    quick = read_order(json.dumps(body).encode())
    assert quick and (quick["phone"], quick["shipping_address"]["line2"]) == ("", "")
    assert read_order(json.dumps({**body, "expected_total": 8740}).encode()) == {**quick, "expected_total": 8740}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"email": 1, "email": 2}', b"[" * 100_000])
def test_the_fast_reader_skips_a_body_that_is_not_an_object(body: bytes) -> None:
    assert read_order(body) is None


_FIRST_READS = """
import sys, threading
sys.setswitchinterval(1e-6)
import django
django.setup()
from orders.api.body import read_order
from relay.conf import configuration
start = threading.Barrier(8)
def read():
    start.wait()
    read_order(BODY)
    configuration()
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_can_read_the_first_orders_of_a_process_at_once() -> None:
    code = _FIRST_READS.replace("BODY", repr(json.dumps(make_plain()).encode()))
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_the_fast_reader_skips_a_body_with_a_repeated_name() -> None:
    text = json.dumps(make_plain())
    assert read_order(text.replace('"email"', '"phone": "+44 20 7946 0018", "email"').encode()) is None


def test_the_response_has_its_documented_fields_in_order() -> None:
    fields = PlacedOrder().fields
    assert list(fields) == [*FIELDS, "access_token"]
    assert list(fields["lines"].child.fields) == list(LINE_FIELDS)  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_both_ways_to_place_an_order_give_the_same_response(
    api: Api, products: None, make_body: MakeBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = api.post(make_body(), key="k-1")
    with monkeypatch.context() as patch:
        patch.setattr("orders.api.placement.read_order", lambda body: None)
        again = api.post(make_body(), key="k-1")
        slow = api.post(make_body(), key="k-2")
    assert (again.content, again["Idempotency-Replayed"]) == (quick.content, "true")
    assert slow.status_code == 201
    assert [list(answer.json()) for answer in (quick, slow)] == [[*FIELDS, "access_token"]] * 2
    assert list(slow.headers) == list(quick.headers)
    headers = ("Content-Type", "Location")
    assert [slow[name][:40] for name in headers] == [quick[name][:40] for name in headers]


@pytest.mark.django_db
def test_a_common_order_does_not_use_the_serializer(
    api: Api, products: None, make_body: MakeBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = baker.make(User)
    bearer = f"Bearer {issue_token(customer)[1]}"
    monkeypatch.setattr("orders.api.placement.OrderRequest", None)
    assert api.post(make_body()).status_code == 201
    assert api.post(make_body(expected_total=8740)).status_code == 201
    placed = api.post(make_body(), key="k-1", Authorization=bearer)
    assert placed.status_code == 201
    assert Order.objects.get(customer=customer).pk == UUID(placed.json()["id"])
    assert api.post(make_body(), key="k-1", Authorization=bearer).content == placed.content
    assert api.post(make_body(), key="k-1").content != placed.content, "a guest's key differs from a customer's"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "headers", "status"),
    [({"expected_total": 8741}, {}, 409), ({}, {"Authorization": "Bearer unknown"}, 401)],
)
def test_errors_of_a_common_order_have_the_usual_status(
    api: Api, products: None, make_body: MakeBody, change: dict[str, int], headers: dict[str, str], status: int
) -> None:
    answer = api.post(make_body(**change), **headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert not Order.objects.exists()
