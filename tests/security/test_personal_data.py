"""Events, logs and Celery messages contain no personal data.

The tests place an order with unique personal data, and search for these texts in Kafka, PostgreSQL, Valkey and logs.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
from django.conf import settings
from kafka import KafkaConsumer, TopicPartition

from relay.process.connection import read_connection
from tests.client import Answer, Customer, call, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop

PLANTED = uuid4().hex[:10]
PASSWORD = f"{PLANTED[::-1]} opens nothing {PLANTED[5:]}"
PERSON: dict[str, Any] = {
    "email": f"planted-mail-{PLANTED}@example.org",
    "phone": "+4930" + str(int(PLANTED, 16))[:10],
    "shipping_address": {
        "name": f"Planted Name{PLANTED}",
        "line1": f"Planted Street{PLANTED} 1",
        "line2": f"Planted Floor{PLANTED}",
        "postal_code": f"C{PLANTED}",
        "city": f"Planted City{PLANTED}",
        "country": "DE",
    },
}
#: All messages about the order, with the status that they must reach.
SENT = {(kind, channel, "sent") for kind in ("confirmed", "cancelled") for channel in ("email", "sms", "shop")}
_MESSAGES = "select kind, channel, status from notifications_message where order_id = %s"
_PAYMENT = "select payment from orders_order where id = %s"
_UNPUBLISHED = "select count(*) from relay_outbox where key = %s and published_at is null"
PLANTED_TEXTS = [PLANTED, PERSON["phone"], PASSWORD]


def post(shop: RunningShop, path: str, body: Any, **headers: str) -> Answer:
    """Send a POST to the shop's API."""
    return call("POST", f"{shop.base_url}/api/v1/{path}", body, headers)


@pytest.fixture(scope="module")
def planted(running_shop: RunningShop) -> Iterator[dict[str, Any]]:
    """Return the order with the planted data, its secrets, and all commands that Valkey has received."""
    shop, customer = running_shop, Customer(running_shop.base_url)
    body = make_order((find_sku(shop), 1), **PERSON)
    account = {"email": PERSON["email"], "password": PASSWORD}
    with recording(shop) as recorded:
        registered = post(shop, "accounts/", account)
        assert registered.status == 201, registered.body
        bearer = {"Authorization": f"Bearer {registered.body['token']}"}
        placed = post(shop, "orders/", body, **{"Idempotency-Key": str(uuid4()), **bearer})
        assert placed.status == 201, placed.body
        go_wrong(shop, body, account)
        order = customer.wait_for(placed, "confirmed", seconds=60)
        assert post(shop, f"orders/{order['id']}/cancel/", {}, **bearer).status == 200
        wait_until_complete(shop, order["id"])
    yield {"order": order, "secrets": [registered.body["token"], placed.body["access_token"]], "broker": recorded}


def wait_until_complete(shop: RunningShop, order_id: str, seconds: float = 60) -> None:
    """Wait until all messages, payments and events of the cancelled order are complete.

    :raises AssertionError: they are not complete within `seconds`.
    """
    deadline = time.monotonic() + seconds
    with psycopg.connect(shop.addresses["postgres"], autocommit=True) as connection:
        while True:
            messages = set(connection.execute(_MESSAGES, [order_id]))
            (payment,) = connection.execute(_PAYMENT, [order_id]).fetchone() or ("",)
            (unpublished,) = connection.execute(_UNPUBLISHED, [order_id]).fetchone() or (1,)
            if messages == SENT and payment in ("voided", "refunded") and not unpublished:
                return
            assert time.monotonic() < deadline, (messages, payment, unpublished)
            time.sleep(0.1)


@contextmanager
def recording(shop: RunningShop) -> Iterator[list[bytes]]:
    """Yield a list of all commands to Valkey during the block. After the block, add Valkey's contents to the list."""
    valkey = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    recorded: list[bytes] = []
    ended = threading.Event()

    def listen() -> None:
        with valkey.monitor() as monitor:  # type: ignore[no-untyped-call]
            while not ended.is_set():
                recorded.append(str(monitor.next_command()).encode())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    yield recorded
    ended.set()
    valkey.ping()
    listener.join(5)
    recorded += dump_broker(valkey)


def go_wrong(shop: RunningShop, body: dict[str, Any], account: dict[str, Any]) -> None:
    """Send invalid requests of all kinds whose data might be logged."""
    wrong: list[tuple[str, Any]] = [
        ("accounts/", account),
        ("tokens/", {**account, "password": f"{PASSWORD}x"}),
        ("tokens/", {**account, "surname": PLANTED}),
        ("orders/", {**body, "email": f"{PLANTED} at home", "surname": PLANTED}),
        ("orders/", {**body, "lines": []}),
        ("orders/", [PLANTED]),
        (f"nothing/{PLANTED}/", body),
    ]
    for path, sent in wrong:
        answer = post(shop, path, sent, **{"Idempotency-Key": str(uuid4())})
        assert 400 <= answer.status < 500, (path, answer)
    for path in ("log-in/", "register/", "checkout/", f"search/?q={PLANTED}"):
        assert call("GET", f"{shop.base_url}/{path}").status == 200


def dump_broker(valkey: Any) -> list[bytes]:
    """Return all keys and values in Valkey."""
    keys: list[bytes] = valkey.keys("*")
    return [*keys, *(part for key in keys for part in read_key(valkey, key))]


def read_key(valkey: Any, key: bytes) -> list[bytes]:
    """Return the values of a key."""
    kind = valkey.type(key)
    if kind == b"list":
        return list(valkey.lrange(key, 0, -1))
    if kind == b"hash":
        return [part for pair in valkey.hgetall(key).items() for part in pair]
    if kind == b"string":
        return [valkey.get(key) or b""]
    return list(valkey.smembers(key)) if kind == b"set" else list(valkey.zrange(key, 0, -1))


def find_planted(texts: Iterator[tuple[str, bytes]]) -> list[str]:
    """Return each planted text that `texts` contain, with its place."""
    return [f"{wanted} in {place}" for place, text in texts for wanted in PLANTED_TEXTS if str(wanted).encode() in text]


def read_kafka() -> Iterator[tuple[str, bytes]]:
    """Yield the place and the key, value and headers of each record of all topics."""
    consumer = KafkaConsumer(**read_connection(), enable_auto_commit=False, auto_offset_reset="earliest")
    with closing(consumer):
        places = [TopicPartition(t, p) for t in consumer.topics() for p in consumer.partitions_for_topic(t) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    yield f"{record.topic}:{record.offset}", repr((record.key, record.value, record.headers)).encode()


def read_segments(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the bytes of each segment file of Kafka."""
    for path in folder.glob("kafka/**/*.log"):
        yield str(path), path.read_bytes()


def read_logs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the text of each log line of all parts."""
    files = [path for path in folder.glob("log/*") if path.is_file()] + [folder.with_name(f"{folder.name}.log")]
    for path in files:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            yield f"{path.name}:{number}: {line[:200]!r}", line


def test_events_contain_no_personal_data(running_shop: RunningShop, planted: dict[str, Any]) -> None:
    records = list(read_kafka())
    assert [place for place, text in records if planted["order"]["id"].encode() in text], (
        "the order's events are missing"
    )
    assert find_planted(iter(records)) == []
    assert find_planted(read_segments(running_shop.var_dir)) == []


def test_only_contacts_and_accounts_contain_personal_data(running_shop: RunningShop, planted: dict[str, Any]) -> None:
    """Contacts and the accounts' e-mail addresses are the only personal data in the database."""
    found = set()
    with psycopg.connect(running_shop.addresses["postgres"]) as connection:
        tables = connection.execute(
            "select schemaname || '.' || relname from pg_stat_user_tables where schemaname not like 'pg%'"
        ).fetchall()
        for (table,) in tables:
            query = f"select count(*) from {table} t where t::text like any(%s)"  # noqa: S608
            [(count,)] = connection.execute(query, [[f"%{text}%" for text in PLANTED_TEXTS]]).fetchall()
            found |= {table} if count else set()
    assert found == {"public.contacts_contact", "public.auth_user"}


def test_logs_contain_no_personal_data_and_no_token(running_shop: RunningShop, planted: dict[str, Any]) -> None:
    lines = list(read_logs(running_shop.var_dir))
    assert len(lines) > 50
    assert find_planted(iter(lines)) == []
    assert [place for place, line in lines for secret in planted["secrets"] if secret.encode() in line] == []


def test_celery_messages_contain_no_personal_data(planted: dict[str, Any]) -> None:
    calls = [command for command in planted["broker"] if b"payments.tasks.settle_payments" in command]
    assert calls, "Celery was not called"
    assert find_planted((f"broker {command[:80]!r}", command) for command in planted["broker"]) == []
