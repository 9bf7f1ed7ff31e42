"""Log records are single lines with their fields, and contain no personal data."""

import logging
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from orders.models import Order
from shop.catalogue.models import Category, Product
from shop.contacts.models import Contact
from shop.logs import LineFormatter
from shop.web.order_access import sign_order

PERSONAL = ("Ada", "Lovelace", "ada@", "7946 0018", "St James", "SW1Y")


@pytest.fixture
def read_log() -> Iterator[Callable[[], str]]:
    """Return a function that returns the log output in the format of the processes."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(LineFormatter())
    logging.getLogger().addHandler(handler)
    yield out.getvalue
    logging.getLogger().removeHandler(handler)


def test_a_record_is_one_line_with_its_fields(read_log: Callable[[], str]) -> None:
    logging.getLogger("shop").warning("order overdue", extra={"order_id": "o-1", "error": "two\nlines"})
    (line,) = read_log().splitlines()
    assert "warning" in line
    assert "order overdue" in line
    assert "order_id=o-1" in line
    assert r"error='two\nlines'" in line


def fail(name: str) -> None:
    email = "ada@example.org"
    raise ValueError(f"{len(name + email)} is too long")


def test_a_traceback_shows_code_and_no_variables(read_log: Callable[[], str]) -> None:
    try:
        fail("Ada Lovelace")
    except ValueError:
        logging.getLogger("shop").exception("failed")
    log = read_log()
    assert "in fail" in log
    assert "ValueError: 27 is too long" in log
    for variable in ("Ada Lovelace", "email = 'ada", "name ="):
        assert variable not in log.replace('fail("Ada Lovelace")', "")


@pytest.mark.django_db
def test_the_row_that_broke_a_constraint_is_not_logged(read_log: Callable[[], str]) -> None:
    with pytest.raises(IntegrityError) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "insert into contacts_contact (id, name, email) values (%s, 'Ada Lovelace', 'ada@example.org')", [uuid4()]
        )
    assert "Ada Lovelace" in str(raised.value)
    logging.getLogger("shop").error("failed", exc_info=raised.value)
    assert "null value in column" in read_log()
    assert "Ada" not in read_log()


ORDER = {
    "email": "ada@example.org",
    "phone": "+44 20 7946 0018",
    "shipping_address": {
        "name": "Ada Lovelace",
        "line1": "12 St James Square",
        "postal_code": "SW1Y 4JH",
        "city": "London",
        "country": "GB",
    },
    "lines": [{"sku": "LAMP", "quantity": 1}],
    "payment_token": "tok_ok",
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "broken",
    [
        "orders.checkout.statement.publish_with_cause",
        "orders.checkout.placement.sign_order",
        "orders.api.placement.place_order",
    ],
)
def test_an_order_that_fails_is_logged_without_its_customer(
    client: Client, read_log: Callable[[], str], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail_with_everything(*values: object, **named: object) -> None:
        raise RuntimeError("broken on purpose")

    category = Category.objects.create(slug="home", name="Home")
    Product.objects.create(sku="LAMP", name="Lamp", price=4990, category=category)
    monkeypatch.setattr(broken, fail_with_everything)
    client.raise_request_exception = False
    headers = {"Idempotency-Key": "k-1"}
    answer = client.post("/api/v1/orders/", ORDER, content_type="application/json", headers=headers)
    assert answer.status_code == 500
    assert (Order.objects.count(), Contact.objects.count()) == (0, 0) or broken.endswith("sign_order")
    log = read_log()
    assert "broken on purpose" in log
    assert "Traceback" in log
    for personal in PERSONAL:
        assert personal not in log


@pytest.mark.django_db
def test_an_order_that_is_placed_is_logged_without_its_customer(client: Client, read_log: Callable[[], str]) -> None:
    category = Category.objects.create(slug="home", name="Home")
    Product.objects.create(sku="LAMP", name="Lamp", price=4990, category=category)
    headers = {"Idempotency-Key": "k-1"}
    assert client.post("/api/v1/orders/", ORDER, content_type="application/json", headers=headers).status_code == 201
    bad = ORDER | {"email": "ada@", "shipping_address": ORDER["shipping_address"] | {"country": "x"}}  # type: ignore[operator]
    assert client.post("/api/v1/orders/", bad, content_type="application/json", headers=headers).status_code == 400
    for personal in PERSONAL:
        assert personal not in read_log()


@pytest.mark.django_db
def test_the_token_in_an_address_is_not_logged(
    client: Client, read_log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    order_id = uuid4()
    monkeypatch.setattr("orders.pages.order.may_see_order", fail)
    client.raise_request_exception = False
    assert client.get(f"/orders/{order_id}/", {"token": sign_order(order_id)}).status_code == 500
    assert str(order_id) in read_log()
    assert sign_order(order_id) not in read_log()


def test_empty_records_are_formatted(read_log: Callable[[], str]) -> None:
    logging.getLogger("shop").error("")
    logging.getLogger("shop").error("%s of %s", 1, 2, exc_info=sys.exc_info())
    assert "1 of 2" in read_log()
