"""After an order is settled, no table, no topic, no log and no Celery message contains its payment token."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop
from tests.security.test_personal_data import read_kafka, read_logs, read_segments, recording

APPROVED, DECLINED = f"tok_ok_{uuid4().hex}", f"tok_of_nobody_{uuid4().hex}"
TOKENS = (APPROVED, DECLINED)
_SETTLED = "select bool_and(wanted = 'nothing') and count(*) = 2 from payments_payment where order_id = any(%s::uuid[])"


@pytest.fixture(scope="module")
def broker(running_shop: RunningShop) -> Iterator[list[bytes]]:
    """Place an order with each token until it is settled, and return all commands that Valkey received meanwhile."""
    customer, sku = Customer(running_shop.base_url), find_sku(running_shop)
    with recording(running_shop) as recorded:
        approved = customer.place(make_order((sku, 1), token=APPROVED))
        declined = customer.place(make_order((sku, 1), token=DECLINED))
        assert (approved.status, declined.status) == (201, 201)
        customer.wait_for(approved, "confirmed", seconds=60)
        assert customer.wait_for(declined, "cancelled", seconds=60)["reason"] == "payment_declined"
        done = running_shop.manage("verify", "--wait", "60")
        assert done.returncode == 0, done.stdout + done.stderr
    with psycopg.connect(running_shop.addresses["postgres"]) as connection:
        settled = connection.execute(_SETTLED, [[approved.body["id"], declined.body["id"]]]).fetchone()
        assert settled == (True,)
    yield recorded


def find_tokens(texts: Iterator[tuple[str, bytes]]) -> list[str]:
    """Return the places of all texts that contain a token."""
    return [place for place, text in texts for token in TOKENS if token.encode() in text]


def test_no_table_contains_a_used_token(running_shop: RunningShop, broker: Any) -> None:
    with psycopg.connect(running_shop.addresses["postgres"]) as connection:
        tables = connection.execute(
            "select schemaname || '.' || relname from pg_stat_user_tables where schemaname not like 'pg%'"
        ).fetchall()
        assert ("public.vault_paymenttoken",) in tables
        for (table,) in tables:
            query = f"select count(*) from {table} t where t::text like any(%s)"  # noqa: S608 - names of tables
            assert connection.execute(query, [[f"%{token}%" for token in TOKENS]]).fetchone() == (0,), table


def test_no_topic_contains_a_token(running_shop: RunningShop, broker: Any) -> None:
    assert find_tokens(read_kafka()) == []
    assert find_tokens(read_segments(running_shop.var_dir)) == []


def test_no_log_and_no_celery_message_contains_a_token(running_shop: RunningShop, broker: list[bytes]) -> None:
    assert find_tokens(read_logs(running_shop.var_dir)) == []
    assert find_tokens((f"broker {command[:80]!r}", command) for command in broker) == []
