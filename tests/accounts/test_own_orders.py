"""An order is visible to its owner and with its token. For all others, it does not exist."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from notifications.models import Message
from orders.models import Order
from shop.accounts.registration import register_account
from shop.web.order_access import sign_order
from tests.accounts.conftest import PASSWORD, log_in, make_email
from tests.orders.conftest import MakeBody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]
LIST = "/api/v1/orders/"
PARTS = ["", "timeline/", "messages/"]


@pytest.fixture
def eve(db: None) -> User:
    return register_account(email=make_email("eve"), password=PASSWORD)


def place(client: Client, body: object, headers: dict[str, str]) -> Order:
    """Place an order through the API, store a message about it, and return the order."""
    answer = client.post(LIST, body, "application/json", headers={"Idempotency-Key": str(uuid4()), **headers})
    assert answer.status_code == 201, answer.content
    order = Order.objects.get(pk=answer.json()["id"])
    Message.objects.create(
        order_id=order.pk, event_id=uuid4(), contact_id=order.contact_id, kind="shipped", channel="shop", body="Gone."
    )
    return order


@pytest.mark.parametrize("part", PARTS)
def test_an_order_is_there_for_its_owner_and_its_token_only(
    client: Client, ada: User, eve: User, make_body: MakeBody, part: str
) -> None:
    owner, other = log_in(client, ada), log_in(client, eve)
    order = place(client, make_body(), owner)
    path = f"{LIST}{order.pk}/{part}"
    token = {"X-Order-Token": sign_order(order.pk)}
    assert [client.get(path, headers=headers).status_code for headers in (owner, token, {**other, **token})] == [
        200
    ] * 3
    strangers = [client.get(path, headers=headers) for headers in ({}, other, {"X-Order-Token": sign_order(uuid4())})]
    nothing = client.get(f"{LIST}{uuid4()}/{part}", headers=owner)
    assert {answer.status_code for answer in strangers} == {404}
    assert strangers[1].json() == nothing.json()


def test_a_guests_order_is_nobodys(client: Client, ada: User, make_body: MakeBody) -> None:
    order = place(client, make_body(email=ada.email), {})
    headers = log_in(client, ada)
    assert client.get(f"{LIST}{order.pk}/", headers=headers).status_code == 404
    assert client.get(LIST, headers=headers).json()["results"] == []


def test_the_list_holds_ones_own_orders_page_by_page(client: Client, ada: User, eve: User, make_body: MakeBody) -> None:
    headers = log_in(client, ada)
    mine = [str(place(client, make_body(), headers).pk) for _ in range(3)]
    place(client, make_body(), log_in(client, eve))
    first = client.get(f"{LIST}?page_size=2", headers=headers).json()
    second = client.get(first["next"], headers=headers).json()
    assert [order["id"] for order in first["results"] + second["results"]] == mine[::-1]
    assert second["next"] is None


def test_the_list_can_be_narrowed_down(client: Client, ada: User, make_body: MakeBody) -> None:
    headers = log_in(client, ada)
    old, new = (place(client, make_body(), headers) for _ in range(2))
    Order.objects.filter(pk=old.pk).update(status="cancelled", placed_at=old.placed_at - timedelta(days=3))

    def list_ids(**query: str) -> list[UUID]:
        found = client.get(LIST, query, headers=headers).json()["results"]
        return [UUID(order["id"]) for order in found]

    limit = (new.placed_at - timedelta(days=1)).isoformat()
    assert list_ids(status="cancelled") == [old.pk]
    assert list_ids(status="shipped") == []
    assert list_ids(placed_from=limit) == [new.pk]
    assert list_ids(placed_until=limit) == [old.pk]


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "placed_from=yesterday",
        "page_size=0",
        "page_size=101",
        "cursor=x",
        "cursor=cD1h",
        "cursor=cD0lMDA",
    ],
)
@pytest.mark.parametrize("path", [LIST, "/api/v1/messages/"])
def test_an_invalid_query_is_a_400(client: Client, ada: User, query: str, path: str) -> None:
    if path != LIST and not query.startswith(("page", "cursor")):
        query = "kind=lost"
    answer = client.get(f"{path}?{query}", headers=log_in(client, ada))
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_the_timeline_and_the_messages_of_an_order_are_listed(
    client: Client, ada: User, eve: User, make_body: MakeBody
) -> None:
    headers = log_in(client, ada)
    order = place(client, make_body(), headers)
    place(client, make_body(), log_in(client, eve))
    [step] = client.get(f"{LIST}{order.pk}/timeline/", headers=headers).json()
    assert (step["event"], step["status"]) == ("OrderPlaced", "placed")
    about_order = client.get(f"{LIST}{order.pk}/messages/", headers=headers).json()["results"]
    own = client.get("/api/v1/messages/", headers=headers).json()["results"]
    assert about_order == own
    assert [(message["order_id"], message["body"]) for message in own] == [(str(order.pk), "Gone.")]
    assert client.get("/api/v1/messages/?kind=cancelled", headers=headers).json()["results"] == []


def test_the_pages_show_orders_to_their_owner_only(client: Client, ada: User, eve: User, make_body: MakeBody) -> None:
    order = place(client, make_body(), log_in(client, ada))
    assert client.get("/orders/")["Location"] == "/log-in/?next=/orders/"
    for user, sees in ((ada, True), (eve, False)):
        browser = Client()
        browser.post("/log-in/", {"email": user.email, "password": PASSWORD})
        assert (order.number in browser.get("/orders/").content.decode()) is sees
        pages = [f"/orders/{order.pk}/", f"/orders/{order.pk}/progress/", f"/messages/{order.pk}/"]
        assert {browser.get(page).status_code for page in pages} == {200 if sees else 404}
