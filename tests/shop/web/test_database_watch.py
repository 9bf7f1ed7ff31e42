"""The watch of the database: a silent server is noticed, and the statements that wait for it fail."""

import socket
import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection
from psycopg.conninfo import make_conninfo

from shop.embedded.processes import wait_until
from shop.web import database_watch
from shop.web.database_watch import DatabaseWatch, is_answering, read_address
from shop.web.seats import open_seat


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and answers nothing, as a frozen PostgreSQL does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield make_conninfo(host="127.0.0.1", port=server.getsockname()[1], user="shop", dbname="shop")


def test_only_an_answer_counts_as_an_answer(db: None, silent: str) -> None:
    assert is_answering(read_address(), 20)
    assert is_answering(make_conninfo(read_address(), dbname="elephants", user="elephant"), 20)  # refused by the server
    assert not is_answering(silent, 0.05)
    assert not is_answering(make_conninfo(read_address(), port=1), 20)


def test_a_request_that_waits_for_a_silent_server_fails_and_the_next_one_works(
    transactional_db: None, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_watch, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(database_watch, "read_address", lambda: silent)
    seat, watch, failed = open_seat(), DatabaseWatch(patience=0.05), threading.Event()
    watch.guard(seat["default"])

    def wait() -> None:
        with pytest.raises(OperationalError), watch.observe(seat), seat["default"].cursor() as cursor:
            cursor.execute("set client_connection_check_interval = 50")  # the server ends the lost statement
            cursor.execute("select pg_sleep(29)")
        failed.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert failed.wait(20)
    assert watch.away
    thread.join()
    seat["default"].close_if_unusable_or_obsolete()
    with pytest.raises(OperationalError, match="the database does not answer"):
        seat["default"].cursor()
    monkeypatch.setattr(database_watch, "ANSWER_SECONDS", 20)
    address = {name: connection.get_connection_params()[name] for name in ("host", "port", "user", "dbname")}
    monkeypatch.setattr(database_watch, "read_address", lambda: make_conninfo(**address))
    watch.check()
    assert not watch.away
    with seat["default"].cursor() as cursor:
        cursor.execute("select 1")

    def is_over() -> bool:
        with seat["default"].cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_stat_activity where query like '%%pg_sleep(29)' and state = 'active'"
            )
            return bool(cursor.fetchone() == (0,))

    assert wait_until(is_over, seconds=30)
    seat["default"].close()
