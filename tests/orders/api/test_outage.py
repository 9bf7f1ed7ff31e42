"""While PostgreSQL is down, requests get 503. Afterwards the same request succeeds."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import connection
from django.test import Client

from orders.models import Order
from tests.orders.conftest import Api, MakeBody

Away = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def away(transactional_db: None) -> Away:
    """Return a context manager in which connections to PostgreSQL are refused."""

    @contextmanager
    def leave() -> Iterator[None]:
        port = connection.settings_dict["PORT"]
        connection.close()
        connection.settings_dict["PORT"] = 1
        try:
            yield
        finally:
            connection.settings_dict["PORT"] = port
            connection.close()

    return leave


@pytest.fixture
def page_client(client: Client) -> Client:
    client.raise_request_exception = False
    return client


def test_the_api_answers_503_and_the_same_request_works_afterwards(
    away: Away, products: None, api: Api, make_body: MakeBody
) -> None:
    with away():
        answer = api.post(make_body(), key="k-1")
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert 0 < int(answer["Retry-After"]) <= 60
    assert "Idempotency-Key" in answer.json()["detail"]
    placed = api.post(make_body(), key="k-1")
    assert placed.status_code == 201
    assert Order.objects.count() == 1
    with away():
        answer = api.get(placed.json()["id"], placed.json()["access_token"])
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")


@pytest.mark.parametrize(
    "path", ["/", "/search/?q=lamp", "/admin/login/", "/orders/01976f2e-0000-7000-8000-000000000001/?token=wrong"]
)
def test_a_page_explains_the_outage(away: Away, page_client: Client, path: str) -> None:
    with away():
        answer = page_client.get(path)
    if answer.status_code == 503:
        assert int(answer["Retry-After"]) > 0
        assert answer["Content-Type"].startswith("text/html")
        assert "All orders that we confirmed are safe" in answer.content.decode()
    else:  # a page without queries works
        assert answer.status_code in (200, 404)


def test_the_front_page_is_503_without_its_products(away: Away, page_client: Client) -> None:
    with away():
        assert page_client.get("/").status_code == 503


def test_a_logged_in_visitor_sees_the_same_page(away: Away, admin_client: Client) -> None:
    admin_client.raise_request_exception = False
    with away():
        answer = admin_client.get("/admin/orders/order/")
    assert answer.status_code == 503
    assert "All orders that we confirmed are safe" in answer.content.decode()


def test_no_response_mentions_the_database(away: Away, page_client: Client, api: Api, make_body: MakeBody) -> None:
    with away():
        answers = [api.post(make_body()), page_client.get("/")]
    for answer in answers:
        text = answer.content.decode().lower()
        assert not any(word in text for word in ("traceback", "psycopg", "127.0.0.1", "refused", "operationalerror"))
