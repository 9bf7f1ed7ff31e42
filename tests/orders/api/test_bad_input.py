"""Bad input gets a problem with a 4xx status and the name of the field, and nothing is stored."""

import json
from typing import Any

import pytest
from django.test import Client

from relay.models import Outbox
from shop.contacts.models import Contact
from tests.orders.conftest import ADDRESS, NOTHING, Api, MakeBody, count_everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]
LINE = {"sku": "LAMP", "quantity": 1}
DEEP = b"[" * 30_000 + b"]" * 30_000


def assert_refused(answer: Any, status: int, *fields: str) -> None:
    """Assert that `answer` is a problem with errors about `fields`, in this order, and that nothing was stored."""
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"] and problem["detail"]
    assert list(dict.fromkeys(error["field"] for error in problem["errors"])) == list(fields)
    assert all(error["message"] for error in problem["errors"])
    assert count_everything() == NOTHING


def with_line(**changes: Any) -> dict[str, Any]:
    return {"lines": [LINE, {"sku": "MUG", "quantity": 1, **changes}]}


def with_address(**changes: Any) -> dict[str, Any]:
    return {"shipping_address": {**ADDRESS, **changes}}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        # SKU
        (with_line(sku="NONE"), "lines[1].sku"),
        (with_line(sku="CHAIR"), "lines[1].sku"),
        (with_line(sku="lamp"), "lines[1].sku"),
        (with_line(sku=""), "lines[1].sku"),
        (with_line(sku=None), "lines[1].sku"),
        (with_line(sku=["LAMP"]), "lines[1].sku"),
        (with_line(sku="X" * 33), "lines[1].sku"),
        (with_line(sku="LAMP"), "lines[1].sku"),
        (with_line(sku="LA\0MP"), "lines[1].sku"),
        (with_line(sku="\ud800"), "lines[1].sku"),
        # quantity
        (with_line(quantity=0), "lines[1].quantity"),
        (with_line(quantity=-1), "lines[1].quantity"),
        (with_line(quantity=1000), "lines[1].quantity"),
        (with_line(quantity=10**400), "lines[1].quantity"),
        (with_line(quantity=1.5), "lines[1].quantity"),
        (with_line(quantity=True), "lines[1].quantity"),
        (with_line(quantity="1"), "lines[1].quantity"),
        (with_line(quantity="many"), "lines[1].quantity"),
        (with_line(quantity="9" * 1200), "lines[1].quantity"),
        (with_line(quantity=None), "lines[1].quantity"),
        (with_line(quantity={"$gt": 0}), "lines[1].quantity"),
        # lines
        ({"lines": []}, "lines"),
        ({"lines": None}, "lines"),
        ({"lines": "LAMP"}, "lines"),
        ({"lines": {"0": LINE}}, "lines"),
        ({"lines": [LINE] * 51}, "lines"),
        ({"lines": [LINE, "MUG"]}, "lines[1]"),
        ({"lines": [LINE, None]}, "lines[1]"),
        ({"lines": [LINE, {"sku": "MUG"}]}, "lines[1].quantity"),
        ({"lines": [LINE, [LINE]]}, "lines[1]"),
        # e-mail
        ({"email": "nobody"}, "email"),
        ({"email": "ada@"}, "email"),
        ({"email": "a b@example.org"}, "email"),
        ({"email": "ada@example.org\nBcc: all@example.org"}, "email"),
        ({"email": "ada\0@example.org"}, "email"),
        ({"email": "a" * 250 + "@example.org"}, "email"),
        ({"email": ""}, "email"),
        ({"email": 7}, "email"),
        ({"email": {"at": "example.org"}}, "email"),
        ({"email": "\ud83d@example.org"}, "email"),
        # phone
        ({"phone": "call me"}, "phone"),
        ({"phone": "+49 30 12345678901234"}, "phone"),
        ({"phone": "1234\n56"}, "phone"),
        ({"phone": None}, "phone"),
        # address
        ({"shipping_address": None}, "shipping_address"),
        ({"shipping_address": "London"}, "shipping_address"),
        ({"shipping_address": [ADDRESS]}, "shipping_address"),
        (with_address(name=""), "shipping_address.name"),
        (with_address(name="A" * 121), "shipping_address.name"),
        (with_address(name="Ada\0"), "shipping_address.name"),
        (with_address(name="Ada\nBcc: all@example.org"), "shipping_address.name"),
        (with_address(name="Ada\n"), "shipping_address.name"),
        (with_address(name=7), "shipping_address.name"),
        (with_address(line2="\n"), "shipping_address.line2"),
        (with_address(city="Oslo" + " " * 77), "shipping_address.city"),
        (with_address(line1="\ud800"), "shipping_address.line1"),
        (with_address(line2="\x1b[2J"), "shipping_address.line2"),
        (with_address(city=["London"]), "shipping_address.city"),
        (with_address(postal_code="1" * 17), "shipping_address.postal_code"),
        (with_address(country="Germany"), "shipping_address.country"),
        (with_address(country="de"), "shipping_address.country"),
        # payment token
        ({"payment_token": ""}, "payment_token"),
        ({"payment_token": "tok ok"}, "payment_token"),
        ({"payment_token": "t" * 129}, "payment_token"),
        ({"payment_token": None}, "payment_token"),
        ({"payment_token": 12345}, "payment_token"),
        # unknown fields
        ({"coupon": "FREE"}, "coupon"),
        ({"total": 1}, "total"),
        ({"": 1}, "body"),
        ({"\0": 1}, "\0"),
        ({"\ud800": 1}, "\ud800"),
        (with_address(planet="Earth"), "shipping_address.planet"),
        (with_line(unit_price=1), "lines[1].unit_price"),
    ],
)
def test_a_wrong_field_is_named(api: Api, make_body: MakeBody, changes: dict[str, Any], field: str) -> None:
    assert_refused(api.post(json.dumps(make_body(**changes)).encode()), 400, field)


@pytest.mark.parametrize("field", ["email", "shipping_address", "lines", "payment_token"])
def test_a_missing_field_is_named(api: Api, make_body: MakeBody, field: str) -> None:
    body = make_body()
    del body[field]
    assert_refused(api.post(body), 400, field)


@pytest.mark.parametrize("field", ["name", "line1", "postal_code", "city", "country"])
def test_a_missing_part_of_the_address_is_named(api: Api, make_body: MakeBody, field: str) -> None:
    address = {name: value for name, value in ADDRESS.items() if name != field}
    assert_refused(api.post(make_body(shipping_address=address)), 400, f"shipping_address.{field}")


def test_all_wrong_fields_are_named_at_once(api: Api, make_body: MakeBody) -> None:
    body = make_body(
        email="nobody", coupon="FREE", lines=[{"sku": "LAMP", "quantity": 0, "colour": "red"}, LINE | {"quantity": "x"}]
    )
    wrong = ["email", "lines[0].quantity", "lines[0].colour", "lines[1].quantity", "coupon"]
    assert_refused(api.post(body), 400, *wrong)


def test_every_unknown_sku_is_named(api: Api, make_body: MakeBody) -> None:
    lines = [{"sku": sku, "quantity": 1} for sku in ("NONE", "LAMP", "CHAIR")]
    answer = api.post(make_body(lines=lines))
    assert_refused(answer, 400, "lines[0].sku", "lines[2].sku")
    assert "NONE" in answer.json()["errors"][0]["message"]


def test_an_order_may_have_fifty_lines(api: Api, make_body: MakeBody) -> None:
    """The errors of 51 lines are about their number. For 50 lines with one SKU, only the repetition is wrong."""
    answer = api.post(make_body(lines=[LINE] * 50))
    assert_refused(answer, 400, *(f"lines[{n}].sku" for n in range(1, 50)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"[]",
        b"[1, 2]",
        b"null",
        b"1",
        b'"text"',
        b"NaN",
        b'{"email": NaN}',
        b'{"email": Infinity}',
        b"\xff\xfe{}",
        b'{"email": "\xff"}',
        b'\xef\xbb\xbf{"email": "a@example.org"}',
        b'{"email": "a@example.org", "email": "b@example.org"}',
        b'{"email": ' + b"9" * 5000 + b"}",
        b"\0",
        DEEP,
        b'{"lines": ' + DEEP + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(api: Api, body: bytes) -> None:
    answer = api.post(body)
    if body == b"":
        assert_refused(answer, 400, "email", "shipping_address", "lines", "payment_token")
    else:
        assert_refused(answer, 400, "body")


@pytest.mark.parametrize("quantity", ["1e400", "-1e400", "1e-400", "1E2", "0.1"])
def test_absurd_numbers_are_refused(api: Api, make_body: MakeBody, quantity: str) -> None:
    body = json.dumps(make_body(lines=[{"sku": "LAMP", "quantity": "Q"}])).replace('"Q"', quantity)
    answer = api.post(body.encode())
    if quantity == "1E2":  # another notation for 100
        assert answer.status_code == 201
    else:
        assert_refused(answer, 400, "lines[0].quantity")


@pytest.mark.parametrize("charset", ["zlib", "rot13", "hex", "utf-16", "nonsense"])
def test_json_is_read_as_utf8_for_every_charset_in_the_header(
    client: Client, make_body: MakeBody, charset: str
) -> None:
    client.raise_request_exception = False
    answer = client.generic(
        "POST",
        "/api/v1/orders/",
        json.dumps(make_body()).encode(),
        content_type=f"application/json; charset={charset}",
        headers={"Idempotency-Key": "k-1"},
    )
    assert answer.status_code == 201


def test_a_body_over_64_kb_is_refused_before_it_is_read(api: Api, make_body: MakeBody) -> None:
    answer = api.post(make_body(email="a" * 64 * 1024))
    assert_refused(answer, 413, "body")
    assert "65536" in answer.json()["detail"]


def test_a_body_of_64_kb_is_read(api: Api, make_body: MakeBody) -> None:
    body = json.dumps(make_body()).encode()
    assert api.post(body + b" " * (64 * 1024 - len(body))).status_code == 201
    assert api.post(body + b" " * (64 * 1024 - len(body) + 1)).status_code == 413
    assert (Contact.objects.count(), Outbox.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
def test_another_content_type_is_415(client: Client, make_body: MakeBody, content_type: str) -> None:
    answer = client.post(
        "/api/v1/orders/", b'{"email": 1}', content_type=content_type, headers={"Idempotency-Key": "k-1"}
    )
    assert answer.status_code == 415
    assert answer["Content-Type"] == "application/problem+json"
    assert count_everything() == NOTHING
