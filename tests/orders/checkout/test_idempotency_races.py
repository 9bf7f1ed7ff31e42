"""Concurrent requests with one key place one order, and all of them get the same response."""

import json
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString

import pytest
from django.db import connection, transaction

from orders.checkout.placement import IdempotencyKeyReused, Placement, place_order
from orders.models import Order
from relay import Event
from relay.models import Outbox
from relay.publisher.outbox import publish_with_cause
from tests.orders.conftest import NOTHING, Api, MakeBody, count_everything

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("products")]
KEYS, CALLS = 20, 10


def run_together(calls: list[Any], threads: int = CALLS) -> list[Any]:
    """Run the calls in threads that start together, each with its own connection. Return the results."""
    barrier = threading.Barrier(threads)

    def run_in_turn(turn: int) -> list[Any]:
        barrier.wait()
        try:
            return [call() for call in calls[turn::threads]]
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return [result for results in pool.map(run_in_turn, range(threads)) for result in results]


def test_ten_parallel_calls_with_each_of_twenty_keys_give_twenty_orders(make_body: MakeBody) -> None:
    def place(key: str) -> tuple[str, Placement]:
        return key, place_order(idempotency_key=key, request=make_body())

    # Sorted by key, so that the ten calls with one key run together.
    calls = [lambda key=f"k-{n // CALLS}": place(key) for n in range(KEYS * CALLS)]
    answers: dict[str, list[Placement]] = defaultdict(list)
    for key, placement in run_together(calls):
        answers[key].append(placement)

    assert count_everything() == {"Order": KEYS, "IdempotencyKey": KEYS, "Contact": KEYS, "Outbox": KEYS}
    assert set(Outbox.objects.values_list("type", "sequence")) == {("OrderPlaced.v4", 1)}
    for placements in answers.values():
        assert len(placements) == CALLS
        assert len({json.dumps(placement.answer, sort_keys=True) for placement in placements}) == 1
        assert [placement.replayed for placement in placements].count(False) == 1


def test_parallel_calls_with_one_key_and_two_bodies_place_one_order(make_body: MakeBody) -> None:
    def place(token: str) -> str:
        try:
            return str(place_order(idempotency_key="k-1", request=make_body(payment_token=token)).answer["id"])
        except IdempotencyKeyReused:
            return "refused"

    results = run_together([lambda token=f"tok_{n % 2}": place(token) for n in range(CALLS)])
    assert set(results) == {str(Order.objects.get().pk), "refused"}
    assert results.count("refused") == CALLS // 2


def test_a_first_attempt_that_rolls_back_leaves_the_key_free(
    api: Api, make_body: MakeBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_at_the_end(cause: LiteralString, event: Event) -> tuple[LiteralString, dict[str, Any]]:
        statement, values = publish_with_cause(cause, event)
        return statement.replace("returning sequence", "returning 1 / 0"), values

    with monkeypatch.context() as patch:
        patch.setattr("orders.checkout.statement.publish_with_cause", fail_at_the_end)
        assert api.post(make_body(), key="k-1").status_code == 500
    assert count_everything() == NOTHING
    assert api.post(make_body(), key="k-1").status_code == 201


def test_a_request_that_waits_for_a_rolled_back_attempt_places_the_order(make_body: MakeBody) -> None:
    """The second request waits for the first one's key. After the rollback it must place the order, not replay it."""
    first_holds_the_key, first_may_end = threading.Event(), threading.Event()

    def roll_back() -> None:
        try:
            with transaction.atomic():
                place_order(idempotency_key="k-1", request=make_body())
                first_holds_the_key.set()
                first_may_end.wait(60)
                transaction.set_rollback(True)
        finally:
            connection.close()

    def place() -> Placement:
        try:
            return place_order(idempotency_key="k-1", request=make_body())
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(roll_back)
        assert first_holds_the_key.wait(60)
        second = pool.submit(place)
        wait_for_blocked_session()
        first_may_end.set()
        first.result()
        placement = second.result()

    assert not placement.replayed
    assert str(Order.objects.get().pk) == placement.answer["id"]
    assert Outbox.objects.count() == 1


def wait_for_blocked_session() -> None:
    """Return when a session of this database waits for a lock."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")
