"""Orders by HTTP with every token, some of them cancelled at random, while the running shop's gateway is killed.

Afterwards orders, payments, events and the gateway's ledger agree, and no money was captured twice.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from payments.sandbox.scripts import DECLINED, TOKENS
from tests.client import Answer, Customer, call, make_order
from tests.faults.counting import connect, give_stock
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop

SEED = int(os.environ["SEED"])
CUSTOMERS = 32
FATES = ("keep", "keep", "cancel at once", "cancel")
#: Tokens whose first call never succeeds, even if the gateway is not killed.
REPEATED = set(TOKENS) - {"tok_ok", "tok_slow", *DECLINED}
#: Seconds of a pause after failed calls. Without the limit, the sample waits two minutes for one payment.
PAUSE_SECONDS = 2
_SHORTEN = """
update payments_payment set due_at = now() + make_interval(secs => %s)
where wanted <> 'nothing' and claimed_until is null and due_at > now() + make_interval(secs => %s + 1)
"""
_FACTS = """
with booked as (
    select split_part(idempotency_key, ':', 1) as payment_id,
           count(*) filter (where operation = 'authorize') as holds,
           count(*) filter (where operation = 'capture') as captures,
           count(*) filter (where operation = 'void') as voids,
           coalesce(sum(amount) filter (where operation = 'capture'), 0)::bigint as taken,
           coalesce(sum(amount) filter (where operation = 'refund'), 0)::bigint as given_back
    from sandbox_gateway.ledger where outcome = 'approved' group by 1
)
select o.id::text as order_id, o.total, o.status, p.status as payment, p.captured_amount, p.refunded_amount,
       coalesce(holds, 0) as holds, coalesce(captures, 0) as captures, coalesce(voids, 0) as voids,
       coalesce(taken, 0) as taken, coalesce(given_back, 0) as given_back,
       (select coalesce(max(calls), 0) from payments_attempt where payment_id = p.id) as calls,
       (select count(*) from relay_outbox where topic = 'shop.payments' and key = o.id::text
        and type = 'PaymentCaptured.v1') as told,
       (select count(*) from payments_hint where id like '%%' || p.id || '%%') as hints
from orders_order o join payments_payment p on p.order_id = o.id left join booked on payment_id = p.id::text
where o.id = any(%s::uuid[])
"""


@dataclass(frozen=True)
class Plan:
    """A planned order: its token, and what its customer does after `patience` seconds."""

    number: int
    token: str
    fate: str
    pieces: int
    patience: float


def make_plans(orders: int, chance: random.Random) -> list[Plan]:
    """Return `orders` plans in random order, with each token equally often and random fates."""
    tokens = [TOKENS[number % len(TOKENS)] for number in range(orders)]
    chance.shuffle(tokens)
    return [
        Plan(number, token, chance.choice(FATES), chance.randint(1, 3), chance.uniform(0, 8))
        for number, token in enumerate(tokens)
    ]


@contextmanager
def kill_gateway_repeatedly(shop: RunningShop, chance: random.Random, least: int) -> Iterator[list[float]]:
    """Kill the gateway at random times, at least `least` times, and yield the list of these times in seconds.

    The gateway runs again when the block ends.
    """
    over, deaths, raised = threading.Event(), list[float](), list[BaseException]()
    began = time.monotonic()

    def kill() -> None:
        try:
            while not over.wait(chance.uniform(0.2, 4)) or len(deaths) < least:
                shop.part_kill("gateway")
                deaths.append(time.monotonic() - began)
                shop.part_stop("gateway")  # otherwise the supervisor restarts it at once
                time.sleep(chance.uniform(0, 2))
                shop.part_start("gateway")
        except BaseException as error:
            raised.append(error)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield deaths
    finally:
        over.set()
        killer.join()
    if raised:
        raise raised[0]


def buy(shop: RunningShop, sku: str, plan: Plan, key: str) -> Answer:
    """Place the planned order, cancel it if planned, and return the answer to the placement."""
    placed = Customer(shop.base_url).place(make_order((sku, plan.pieces), token=plan.token), key, timeout=60)
    assert placed.status == 201, placed
    if plan.fate != "cancel at once":
        time.sleep(plan.patience)
    if plan.fate != "keep":
        address = f"{shop.base_url}/api/v1/orders/{placed.body['id']}/cancel/"
        cancelled = call("POST", address, {}, {"X-Order-Token": placed.body["access_token"]}, timeout=60)
        assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled"), cancelled
    return placed


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("orders", "kills"), [(26, 2), pytest.param(1000, 10, marks=pytest.mark.long)])
def test_ledger_equals_payments_after_kills_of_the_gateway(running_shop: RunningShop, orders: int, kills: int) -> None:
    print(f"SEED={SEED} repeats the choices")
    chance, prefix, began = random.Random(SEED), f"campaign-{uuid4()}", time.monotonic()
    sku = find_sku(running_shop)
    give_stock(running_shop, sku)
    plans = {f"{prefix}-{plan.number}": plan for plan in make_plans(orders, chance)}
    with (
        kill_gateway_repeatedly(running_shop, random.Random(SEED), least=kills) as deaths,
        ThreadPoolExecutor(CUSTOMERS) as customers,
    ):
        answers = customers.map(lambda key: buy(running_shop, sku, plans[key], key), plans)
        placed = {answer.body["id"]: plan for plan, answer in zip(plans.values(), answers, strict=True)}
    assert len(placed) == orders
    placing = time.monotonic() - began
    assert_all_add_up(running_shop)
    with connect(running_shop) as database:
        facts = read_facts(database, placed)
        assert_entries_belong_to_payments(database)
    repeated = sum(fact["calls"] > 1 for fact in facts if placed[fact["order_id"]].token in ("tok_ok", *DECLINED))
    seconds = time.monotonic() - began
    print(f"{orders} orders, {len(deaths)} kills in {placing:.0f} s; drained after {seconds:.0f} s")
    print(f"{repeated} payments were repeated because of a kill; {Counter(fact['payment'] for fact in facts)}")
    for fact in facts:
        assert_money_is_right(placed[fact["order_id"]], fact)
    assert sum(fact["hints"] for fact in facts) > 0
    assert repeated > 0 or orders < 1000, "no kill has interrupted a call"


@contextmanager
def shorten_pauses(shop: RunningShop) -> Iterator[None]:
    """Limit the growing pauses between the calls of a payment to PAUSE_SECONDS."""
    over = threading.Event()

    def shorten() -> None:
        with connect(shop) as database:
            while not over.wait(1):
                database.execute(_SHORTEN, [PAUSE_SECONDS, PAUSE_SECONDS])

    shortener = threading.Thread(target=shorten)
    shortener.start()
    try:
        yield
    finally:
        over.set()
        shortener.join()


def assert_all_add_up(shop: RunningShop) -> None:
    """Assert that `verify` finds nothing in flight and no difference after the shop has drained."""
    with shorten_pauses(shop):
        result = shop.manage("verify", "--wait", "300", "--json", timeout=500)
    assert result.stdout, result.stderr
    report = json.loads(result.stdout)
    assert (report["differences"], report["in_flight"], result.returncode) == ([], {}, 0)


def read_facts(database: psycopg.Connection[Any], placed: dict[str, Plan]) -> list[dict[str, Any]]:
    """Return for each order a row with the state of the order, its payment, its events and its ledger entries."""
    with database.cursor(row_factory=dict_row) as cursor:
        facts = cursor.execute(_FACTS, [list(placed)]).fetchall()
    assert {fact["order_id"] for fact in facts} == set(placed)
    return facts


def assert_entries_belong_to_payments(database: psycopg.Connection[Any]) -> None:
    """Assert that no authorization ended twice and that each ledger entry belongs to a payment."""
    twice = database.execute(
        "select reference from sandbox_gateway.ledger where outcome = 'approved' and operation in ('capture', 'void')"
        " group by reference having count(*) > 1"
    ).fetchall()
    strange = database.execute(
        "select idempotency_key from sandbox_gateway.ledger where not exists"
        " (select from payments_payment p where p.id::text = split_part(idempotency_key, ':', 1))"
    ).fetchall()
    assert (twice, strange) == ([], [])


def assert_money_is_right(plan: Plan, fact: dict[str, Any]) -> None:
    """Assert that the order ended as planned and that the gateway moved exactly the payment's amounts, once."""
    ours = (fact["captured_amount"], fact["refunded_amount"])
    assert ours == (fact["taken"], fact["given_back"]), (plan, fact)
    assert fact["captures"] == fact["told"] == (1 if fact["taken"] else 0), (plan, fact)
    assert fact["captures"] + fact["voids"] == fact["holds"] <= 1, (plan, fact)
    if plan.fate == "keep" and plan.token not in DECLINED:
        assert (fact["status"], fact["payment"], ours) == ("confirmed", "captured", (fact["total"], 0)), (plan, fact)
        assert fact["calls"] > 1 or plan.token not in REPEATED, (plan, fact)
    else:
        assert (fact["status"], ours[0] - ours[1]) == ("cancelled", 0), (plan, fact)
        assert fact["payment"] == "declined" if plan.fate == "keep" else fact["payment"] != "captured", (plan, fact)
