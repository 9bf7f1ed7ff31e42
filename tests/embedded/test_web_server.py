"""The web server as the supervisor starts it: killed workers, slow clients, database connections and the stop."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from urllib.request import urlopen

import psutil
import psycopg
import pytest
from django.conf import settings

from shop.embedded.parts import WEB_HEAD_BYTES, WEB_WORKERS
from shop.embedded.processes import is_alive, wait_until
from shop.wsgi import WEB_SEATS
from tests.client import call, make_order
from tests.embedded.slow_clients import (
    PATIENCE,
    UNFINISHED_BODY,
    UNFINISHED_HEAD,
    check_service,
    count_open,
    make_key,
    sending,
)
from tests.faults.counting import connect
from tests.plugin import choose_port
from tests.running_shop import RunningShop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop of PostgreSQL and the web only."""
    port = choose_port(9400)
    shop = RunningShop(port, tmp_path_factory.mktemp("web") / "var", only=("postgres", "web"))
    shop.start(90)
    yield shop
    shop.stop()
    shop.end_leftovers()  # PostgreSQL's data may lie outside the folder


def find_workers(shop: RunningShop) -> list[psutil.Process]:
    """Return the worker processes of the web."""
    return psutil.Process(shop.list_parts()["web"]["pid"]).children()


def is_up(shop: RunningShop) -> bool:
    with suppress(OSError):
        return call("GET", f"{shop.base_url}/healthz", timeout=2).status == 200
    return False


@pytest.fixture(scope="module")
def mug(shop: RunningShop) -> str:
    """Return the SKU of a product of the shop."""
    with connect(shop) as database:
        database.execute("insert into catalogue_category (slug, name) values ('kitchen', 'Kitchen')")
        database.execute(
            "insert into catalogue_product (sku, name, description, price, currency, picture, is_active, created_at,"
            " category_id) select 'MUG', 'Mug', '', 1400, 'EUR', '', true, now(), id from catalogue_category"
        )
    return "MUG"


def test_a_killed_worker_is_replaced_while_the_others_answer(shop: RunningShop) -> None:
    main = shop.list_parts()["web"]["pid"]
    killed, *others = find_workers(shop)
    assert len(others) == WEB_WORKERS - 1
    killed.kill()
    assert wait_until(lambda: len(find_workers(shop)) == WEB_WORKERS and not is_alive(killed), seconds=60)
    assert all(map(is_alive, others))
    assert wait_until(lambda: is_up(shop), seconds=60)
    assert shop.list_parts()["web"]["pid"] == main


def test_no_worker_outlives_a_killed_main_process(shop: RunningShop) -> None:
    before = find_workers(shop)
    main = shop.list_parts()["web"]["pid"]
    psutil.Process(main).kill()
    assert wait_until(lambda: shop.list_parts()["web"]["pid"] not in (None, main) and is_up(shop), seconds=30)
    assert not any(map(is_alive, before))


def test_unfinished_headers_and_bodies_do_not_block_others(shop: RunningShop, mug: str) -> None:
    with sending(shop.base_url, UNFINISHED_HEAD, 200) as heads, sending(shop.base_url, UNFINISHED_BODY, 200) as bodies:
        waits = [check_service(shop.base_url, mug) for _ in range(5)]
        assert (count_open(heads), count_open(bodies)) == (200, 200)
    print(f"longest wait with 200 unfinished headers and 200 unfinished bodies: {max(waits):.3f} s")


def test_idle_connections_do_not_block_others(shop: RunningShop, mug: str) -> None:
    with sending(shop.base_url, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 1000) as idle:
        for connection in idle:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        check_service(shop.base_url, mug)
        assert count_open(idle) == 1000


def test_clients_that_never_read_do_not_block_others(shop: RunningShop, mug: str) -> None:
    request = b"GET /p/MUG/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200
    with sending(shop.base_url, request, 50):
        check_service(shop.base_url, mug)


def test_the_size_of_headers_is_limited(shop: RunningShop) -> None:
    sent = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"x" * 4 * WEB_HEAD_BYTES + b"\r\n\r\n"
    with sending(shop.base_url, sent, 1) as (connection,):
        assert connection.recv(1000).startswith(b"HTTP/1.1 431")


def test_a_chunked_order_is_placed_and_a_long_one_is_refused(shop: RunningShop, mug: str) -> None:
    host, _, port = shop.base_url.removeprefix("http://").rpartition(":")
    for size, status in ((0, 201), (settings.DATA_UPLOAD_MAX_MEMORY_SIZE, 413)):
        client = HTTPConnection(host, int(port), timeout=PATIENCE)
        chunks = [json.dumps(make_order((mug, 1))).encode(), b" " * size]
        headers = {"Content-Type": "application/json", **make_key()}
        client.request("POST", "/api/v1/orders/", filter(None, chunks), headers, encode_chunked=True)
        assert client.getresponse().status == status
        client.close()


def test_an_order_whose_client_disconnects_inside_the_body_is_not_placed(shop: RunningShop, mug: str) -> None:
    """The received part is a complete JSON document, so only the length shows that the body was cut."""
    body, key = json.dumps(make_order((mug, 1))).encode(), make_key()
    head = (
        "POST /api/v1/orders/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: {key['Idempotency-Key']}\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    )
    with sending(shop.base_url, head.encode() + body, 1) as (connection,):
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    with connect(shop) as database:
        found = database.execute("select 1 from orders_idempotencykey where key = %s", [key["Idempotency-Key"]])
        assert found.fetchone() is None


def test_threads_keep_their_connections_to_postgresql_and_open_no_more(shop: RunningShop) -> None:
    def count() -> int:
        with connect(shop) as database:
            row = database.execute(
                "select count(*) from pg_stat_activity where application_name = 'shop granian'"
            ).fetchone()
        assert row
        return int(row[0])

    def read(_: int) -> int:
        return call("GET", f"{shop.base_url}/api/v1/products/").status

    with ThreadPoolExecutor(48) as customers:
        for _ in range(3):
            assert set(customers.map(read, range(96))) == {200}
            assert 0 < count() <= WEB_WORKERS * WEB_SEATS
    before = count()
    time.sleep(1)
    assert count() == before


def test_every_worker_shows_a_new_price_within_a_second(shop: RunningShop, mug: str) -> None:
    def read(_: int) -> str:
        with urlopen(f"{shop.base_url}/p/MUG/", timeout=5) as answer:
            return str(re.findall(r'class="price">([^<]+)<', answer.read().decode())[0])

    with connect(shop) as database, ThreadPoolExecutor(8) as customers:
        for price in (1400, 1500):
            database.execute("update catalogue_product set price = %s", [price])
            time.sleep(1)
            assert set(customers.map(read, range(64))) == {f"€{price / 100:.2f}"}


def test_a_request_under_way_is_answered_before_the_web_stops(shop: RunningShop) -> None:
    answers: list[int] = []

    def read() -> None:
        with urlopen(f"{shop.base_url}/api/v1/products/", timeout=20) as answer:
            answers.append(answer.status)

    def is_waiting(database: psycopg.Connection[object]) -> bool:
        return bool(database.execute("select 1 from pg_locks where not granted").fetchone())

    reader, stopper = threading.Thread(target=read), threading.Thread(target=shop.part_stop, args=["web"])
    with connect(shop) as database:
        database.execute("begin")
        database.execute("lock table catalogue_product")
        reader.start()
        assert wait_until(lambda: is_waiting(database), seconds=60)
        stopper.start()
        time.sleep(2)
        assert not answers
        database.execute("commit")
    reader.join()
    stopper.join()
    shop.part_start("web")
    assert answers == [200]


def test_clients_that_never_finish_do_not_prevent_a_stop(shop: RunningShop) -> None:
    workers = find_workers(shop)
    with sending(shop.base_url, UNFINISHED_HEAD, 2), sending(shop.base_url, UNFINISHED_BODY, 2):
        began = time.monotonic()
        shop.part_stop("web")
        assert time.monotonic() - began < 10
    assert not any(map(is_alive, workers))
    shop.part_start("web")
