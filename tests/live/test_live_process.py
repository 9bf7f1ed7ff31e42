"""The live process of the running shop: who may listen, what rings, and what happens while other parts are away."""

import http.client
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.cookies import SimpleCookie

import psycopg
import pytest

from shop.embedded.processes import wait_until
from shop.live.streams import MOST_PER_VISITOR
from tests.client import Answer, Customer, call, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop


@pytest.fixture
def customer(running_shop: RunningShop) -> Customer:
    return Customer(running_shop.base_url)


@pytest.fixture
def placed(running_shop: RunningShop, customer: Customer) -> Answer:
    return customer.place(make_order((find_sku(running_shop), 1)))


@pytest.fixture
def live(running_shop: RunningShop) -> str:
    """The address of the live process, as the web redirects to it."""
    order = Customer(running_shop.base_url).place(make_order((find_sku(running_shop), 1))).body
    connection = http.client.HTTPConnection(running_shop.base_url.removeprefix("http://"), timeout=10)
    headers = {"X-Order-Token": order["access_token"]}
    with closing(connection):
        connection.request("GET", f"/api/v1/orders/{order['id']}/events/", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 307
        return answer.headers["Location"].removeprefix("http://").partition("/")[0]


@contextmanager
def listening(address: str, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    """Open a stream for the length of the block."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        yield connection.getresponse()


def read_event(stream: http.client.HTTPResponse) -> tuple[str, str]:
    """Return the name and the data of the stream's next event. Fail if none comes within 60 seconds."""
    name, deadline = "", time.monotonic() + 60
    for line in iter(stream.readline, b""):
        assert time.monotonic() < deadline, "the stream sends comments only"
        field, _, value = line.decode().strip().partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            return name, value
    return "end", ""


def events_path(order: Answer) -> str:
    return f"/api/v1/orders/{order.body['id']}/events/"


def test_a_stream_rings_until_the_order_is_confirmed(live: str, customer: Customer, placed: Answer) -> None:
    with listening(live, events_path(placed), X_Order_Token=placed.body["access_token"]) as stream:
        assert (stream.status, stream.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert stream.headers["Cache-Control"] == "no-store"
        while True:
            assert read_event(stream) == ("order", placed.body["id"])
            if customer.read(placed)["status"] == "confirmed":
                break


def test_a_stream_carries_only_ids(live: str, customer: Customer, placed: Answer) -> None:
    customer.wait_for(placed, "confirmed")
    with listening(live, events_path(placed), X_Order_Token=placed.body["access_token"]) as stream:
        lines = [stream.readline().decode().strip() for _ in range(4)]
    assert lines[0].startswith("retry: ")
    assert lines[1:] == ["", "event: order", f"data: {placed.body['id']}"]


@pytest.mark.parametrize("headers", [{}, {"X_Order_Token": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_a_stranger_may_not_listen(live: str, placed: Answer, headers: dict[str, str]) -> None:
    with listening(live, events_path(placed), **headers) as stream:
        assert (stream.status, b"no such order" in stream.read()) == (404, True)


def test_a_page_listens_with_its_cookie_and_from_its_own_origin_only(
    running_shop: RunningShop, live: str, placed: Answer
) -> None:
    order = placed.body
    page = f"{running_shop.base_url}/orders/{order['id']}/?token={order['access_token']}"
    with closing(http.client.HTTPConnection(running_shop.base_url.removeprefix("http://"))) as connection:
        connection.request("GET", page.removeprefix(running_shop.base_url))
        cookie = SimpleCookie(connection.getresponse().headers["Set-Cookie"])["sessionid"]
    address = f"/live/orders/?id={order['id']}"
    headers = {"Cookie": f"sessionid={cookie.value}", "Origin": running_shop.base_url}
    with listening(live, address, **headers) as stream:
        assert stream.status == 200
        assert stream.headers["Access-Control-Allow-Origin"] == running_shop.base_url
        assert stream.headers["Access-Control-Allow-Credentials"] == "true"
    with listening(live, address, **{**headers, "Origin": "http://evil.example"}) as stream:
        assert stream.headers["Access-Control-Allow-Origin"] is None
    with listening(live, address) as stream:
        assert stream.status == 404


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/live/orders/?id=elephant", 400, "An id is not a UUID"),
        ("/live/orders/", 400, "Name 1 to 50"),
        ("/live/elephants/", 404, "no such stream"),
    ],
)
def test_a_wrong_request_is_explained(live: str, path: str, status: int, text: str) -> None:
    answer = call("GET", f"http://{live}{path}")
    assert (answer.status, text in answer.body) == (status, True)
    assert call("POST", f"http://{live}/live/orders/", {}).status == 405


def test_one_visitor_has_a_limit_and_other_visitors_do_not_suffer(
    live: str, customer: Customer, placed: Answer, running_shop: RunningShop
) -> None:
    other = customer.place(make_order((find_sku(running_shop), 1)))
    token = placed.body["access_token"]
    with ExitStack() as streams:
        for _ in range(MOST_PER_VISITOR):
            opened = streams.enter_context(listening(live, events_path(placed), X_Order_Token=token))
            assert opened.status == 200
        with listening(live, events_path(placed), X_Order_Token=token) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
            assert b"this visitor has 6 open streams" in refused.read()
        with listening(live, events_path(other), X_Order_Token=other.body["access_token"]) as stream:
            assert stream.status == 200


def test_connections_that_break_off_leave_no_stream(live: str, placed: Answer) -> None:
    for _ in range(100):
        with listening(live, events_path(placed), X_Order_Token=placed.body["access_token"]) as stream:
            assert stream.status in (200, 503)  # the limit of one visitor
    assert wait_until(lambda: call("GET", f"http://{live}/healthz").body == "0 open streams\n", seconds=20)


def is_captured(shop: RunningShop, order: Answer) -> bool:
    with psycopg.connect(shop.addresses["postgres"]) as db:
        found = db.execute("select payment from orders_order where id = %s", [order.body["id"]]).fetchone()
    return found == ("captured",)


def test_a_change_rings_while_kafka_is_away(
    running_shop: RunningShop, live: str, customer: Customer, placed: Answer
) -> None:
    """The payment is captured, so that nothing but the cancellation changes the order."""
    assert wait_until(lambda: is_captured(running_shop, placed), seconds=60)
    with listening(live, events_path(placed), X_Order_Token=placed.body["access_token"]) as stream:
        read_event(stream)
        running_shop.part_stop("kafka")
        try:
            token = {"X-Order-Token": placed.body["access_token"]}
            url = f"{running_shop.base_url}/api/v1/orders/{placed.body['id']}/cancel/"
            assert call("POST", url, {}, token).status == 200
            assert customer.read(placed)["status"] == "cancelled"
            assert read_event(stream) == ("order", placed.body["id"])
        finally:
            running_shop.part_start("kafka")


def test_a_stop_says_goodbye_and_takes_no_longer_than_a_part_may(
    running_shop: RunningShop, live: str, placed: Answer
) -> None:
    with listening(live, events_path(placed), X_Order_Token=placed.body["access_token"]) as stream:
        read_event(stream)
        running_shop.part_stop("live")
        try:
            names = {read_event(stream)[0] for _ in range(3)}
        finally:
            running_shop.part_start("live")
    assert {"bye", "end"} <= names
