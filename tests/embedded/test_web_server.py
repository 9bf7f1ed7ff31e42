"""The web server as the supervisor starts it: killed workers, slow clients, database connections and the stop."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from urllib.request import urlopen

import psutil
import psycopg
import pytest

from shop.embedded.parts import WEB_THREADS, WEB_WORKERS
from shop.embedded.processes import is_alive, wait_until
from tests.client import call
from tests.faults.counting import connect
from tests.plugin import choose_port
from tests.running_shop import RunningShop

UNFINISHED_HEAD = b"GET / HTTP/1.1\r\nHos"
UNFINISHED_BODY = (
    b"POST /api/v1/orders/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\n"
    b"Content-Length: 100\r\n\r\n{"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop of PostgreSQL and the web only."""
    port = choose_port(9400)
    shop = RunningShop(port, tmp_path_factory.mktemp("web") / "var", only=("postgres", "web"))
    shop.start(90)
    yield shop
    shop.stop()
    shop.end_leftovers()  # PostgreSQL's data may lie outside the folder
    shop.stop()


def find_workers(shop: RunningShop) -> list[psutil.Process]:
    """Return the worker processes of the web."""
    return psutil.Process(shop.list_parts()["web"]["pid"]).children()


def is_up(shop: RunningShop) -> bool:
    with suppress(OSError):
        return call("GET", f"{shop.base_url}/healthz", timeout=2).status == 200
    return False


@contextmanager
def sending(shop: RunningShop, request: bytes, clients: int) -> Iterator[None]:
    """Keep `clients` connections open that have sent the incomplete `request`, until the block ends."""
    port = int(shop.base_url.rpartition(":")[2])
    with ExitStack() as open_connections:
        for _ in range(clients):
            client = open_connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(request)
        yield


def test_a_killed_worker_is_replaced_while_the_others_answer(shop: RunningShop) -> None:
    main = shop.list_parts()["web"]["pid"]
    killed, *others = find_workers(shop)
    assert len(others) == WEB_WORKERS - 1
    killed.kill()
    assert wait_until(lambda: len(find_workers(shop)) == WEB_WORKERS and not is_alive(killed), seconds=10)
    assert all(map(is_alive, others))
    assert wait_until(lambda: is_up(shop), seconds=5)
    assert shop.list_parts()["web"]["pid"] == main


def test_no_worker_outlives_a_killed_main_process(shop: RunningShop) -> None:
    before = find_workers(shop)
    main = shop.list_parts()["web"]["pid"]
    psutil.Process(main).kill()
    assert wait_until(lambda: shop.list_parts()["web"]["pid"] not in (None, main) and is_up(shop), seconds=30)
    assert not any(map(is_alive, before))


def test_clients_that_never_finish_their_headers_do_not_block_others(shop: RunningShop) -> None:
    with sending(shop, UNFINISHED_HEAD, clients=WEB_WORKERS * WEB_THREADS * 4):
        assert all(call("GET", f"{shop.base_url}/healthz", timeout=2).status == 200 for _ in range(8))


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
            assert 0 < count() <= WEB_WORKERS * WEB_THREADS
    before = count()
    time.sleep(1)
    assert count() == before


def test_every_worker_shows_a_new_price_within_a_second(shop: RunningShop) -> None:
    def read(_: int) -> str:
        with urlopen(f"{shop.base_url}/p/MUG/", timeout=5) as answer:
            return str(re.findall(r'class="price">([^<]+)<', answer.read().decode())[0])

    with connect(shop) as database, ThreadPoolExecutor(8) as customers:
        database.execute("insert into catalogue_category (slug, name) values ('kitchen', 'Kitchen')")
        database.execute(
            "insert into catalogue_product (sku, name, description, price, currency, picture, is_active, created_at,"
            " category_id) select 'MUG', 'Mug', '', 1400, 'EUR', '', true, now(), id from catalogue_category"
        )
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
        assert wait_until(lambda: is_waiting(database), seconds=5)
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
    with sending(shop, UNFINISHED_HEAD, clients=2), sending(shop, UNFINISHED_BODY, clients=2):
        began = time.monotonic()
        shop.part_stop("web")
        assert time.monotonic() - began < 10
    assert not any(map(is_alive, workers))
    shop.part_start("web")
