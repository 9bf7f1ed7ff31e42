"""`verify` reports each broken rule and its place, and nothing while work is in flight."""

import json
import re
import time
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction

from orders.lifecycle.saga import Happening
from orders.models import Order
from payments.gateways.protocol import GatewayUnavailable
from payments.sandbox.books import open_books
from relay import BrokerUnavailable
from relay.models import Outbox
from relay.operations.audit import record_intervention
from relay.testing.delivery import make_delivery
from shop.management.verification import Report, verify
from shop.management.verification.effects import find_duplicate_effects
from tests.shop.breakages import BROKEN, EFFECTS, LOG, MONEY, ORIGIN, STOCK
from tests.shop.conftest import World

Orders = dict[str, Order]
Break = Callable[..., None]


def tell(report: Report) -> list[str]:
    """Return the differences in the form in which the command prints them."""
    return [f"{found.rule}: {found.difference}" for found in report.differences]


def test_verify_finds_nothing_after_all_work_is_done(world: World, orders: Orders) -> None:
    expected = {name: name if name in ("delivered", "confirmed") else "cancelled" for name in orders}
    assert {name: order.status for name, order in orders.items()} == expected
    report = verify()
    assert tell(report) == []
    assert report.in_flight == {}
    assert report.counts["records_in_kafka"] == len(world.log) > 20
    assert report.as_dict()["ok"] is True


def test_work_in_flight_is_never_a_difference(world: World) -> None:
    """Verify after each single step: unfinished work is counted, and is never a difference."""
    orders = [world.place(), world.place(token="tok_declined"), world.place(sku="GONE")]
    seen: set[str] = set()
    steps: list[Callable[[], int]] = [world.forward, world.consume, world.work]
    for turn in range(5):
        if turn == 2:
            world.place()
        for step in steps:
            report = verify()
            assert tell(report) == []
            seen |= set(report.in_flight)
            step()
    assert {"unpublished_rows", "events_for_orders", "gateway_calls", "messages"} <= seen
    world.run()
    world.advance(Order.objects.get(pk=orders[0].pk), Happening.MARKED_SHIPPED)
    assert tell(verify()) == []
    assert verify().in_flight["unpublished_rows"] == 1


def test_each_broken_rule_is_reported(orders: Orders, break_by_hand: Break) -> None:
    """Break the same shop in each way in turn, and roll back each time."""
    for breakage, expected in BROKEN.items():
        with transaction.atomic():
            break_by_hand(breakage)
            found = tell(verify())
            transaction.set_rollback(True)
        for rule, words in expected:
            sentence = words.format(**orders)
            assert any(line.startswith(f"{rule}: ") and sentence in line for line in found), (breakage, sentence, found)
    assert tell(verify()) == []


def test_a_lost_payment_is_named(orders: Orders, break_by_hand: Break) -> None:
    order = orders["confirmed"]
    break_by_hand(
        "delete from payments_attempt where payment_id in"
        " (select id from payments_payment where order_id = '{confirmed.id}')",
        "delete from payments_payment where order_id = '{confirmed.id}'",
    )
    found = tell(verify())
    assert any(
        line.startswith(EFFECTS) and f"of order {order.pk}, but the event has no payment" in line for line in found
    )
    assert any(line.startswith(MONEY) and "which does not exist" in line for line in found)


def test_a_ledger_entry_that_the_gateway_lost_is_named(orders: Orders) -> None:
    with open_books() as books:
        books.execute("delete from sandbox_gateway.ledger where operation = 'capture' and amount = 2990")
    (sentence,) = tell(verify())
    assert sentence.startswith(MONEY)
    assert f"of order {orders['confirmed'].pk} is captured, but the gateway has 0 entries for its capture" in sentence


@pytest.mark.parametrize(
    ("effect", "table", "constraint", "new_id"),
    [
        ("movement", "inventory_movement", "movement_once_per_event_and_sku", "-1"),
        ("message", "notifications_message", "message_once_per_channel", "gen_random_uuid()"),
    ],
)
def test_a_duplicate_effect_is_reported(
    break_by_hand: Break, effect: str, table: str, constraint: str, new_id: str
) -> None:
    with transaction.atomic():
        break_by_hand(
            f"alter table {table} drop constraint {constraint}",
            f"create temp table copied as table {table}",
            "delete from copied where ctid <> (select min(ctid) from copied where order_id = '{confirmed.id}')",
            f"update copied set id = {new_id}",  # noqa: S608
            f"insert into {table} table copied",
        )
        (sentence,) = find_duplicate_effects()
        transaction.set_rollback(True)  # restores the constraint
    assert sentence.startswith("event ") and sentence.endswith(f"has its {effect} 2 times")


def find_record(world: World, order: Order, sequence: int) -> int:
    """Return the index of the order's event with this `sequence` in the log."""
    found = [
        n for n, d in enumerate(world.log) if (d.topic, d.key, d.sequence) == ("shop.orders", str(order.pk), sequence)
    ]
    return found[0]


def test_an_event_that_kafka_lost_is_named(world: World, orders: Orders) -> None:
    order = orders["confirmed"]
    del world.log[find_record(world, order, 2)]
    assert tell(verify()) == [f"{LOG}: shop.orders/{order.pk} is published up to 2, but Kafka holds it up to 1"]


def test_events_that_were_removed_from_the_contract_are_still_verified(
    world: World, orders: Orders, break_by_hand: Break
) -> None:
    break_by_hand(
        "insert into relay_stream (topic, key, last) values ('shop.gone', 'a', 1)",
        "insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, traceparent,"
        " created_at, published_at) values ('shop.gone', 'a', 1, 1, gen_random_uuid(), 'Gone.v1', now(), '{{}}', '',"
        " now(), now())",
    )
    assert tell(verify()) == [f"{LOG}: shop.gone/a is published up to 1, but Kafka holds it up to 0"]
    row = Outbox.objects.get(topic="shop.gone")
    world.log.append(make_delivery(row)._replace(partition=0, offset=len(world.log)))
    assert tell(verify()) == []


def test_events_in_a_wrong_order_in_kafka_are_reported(world: World, orders: Orders) -> None:
    order = orders["confirmed"]
    first, second = find_record(world, order, 1), find_record(world, order, 2)
    world.log[first], world.log[second] = world.log[second], world.log[first]
    assert tell(verify()) == [f"{LOG}: in Kafka shop.orders/{order.pk} jumps from 0 to 2"]


def test_records_that_are_not_from_the_outbox_are_named_until_they_are_explained(world: World, orders: Orders) -> None:
    order, first = orders["confirmed"], len(world.log)
    sent = world.log[find_record(world, order, 2)]
    stranger = world.log[0]._replace(key="somebody else's", event_id="")
    other_id = str(uuid4())
    for forged in [
        sent._replace(sequence=3),
        sent._replace(value=sent.value.replace(b'"number"', b'"Number"')),
        sent._replace(type="OrderCancelled.v1"),
        sent._replace(event_id=other_id),
        stranger,
    ]:
        world.log.append(forged._replace(offset=len(world.log)))
    record, event = "Kafka's record of sequence", f"event {sent.event_id} (OrderConfirmed.v1)"
    assert tell(verify()) == [
        f"{ORIGIN}: shop.orders/{order.pk}: {record} 3 (shop.orders[0]@{first}) has {event},"
        " and the outbox has no event with this sequence",
        f"{ORIGIN}: shop.orders/{order.pk}: {record} 2 (shop.orders[0]@{first + 1}) has {event},"
        " and its body differs from that event's row in the outbox",
        f"{ORIGIN}: shop.orders/{order.pk}: {record} 2 (shop.orders[0]@{first + 2}) has event {sent.event_id}"
        f" (OrderCancelled.v1), the outbox has {sent.event_id} (OrderConfirmed.v1)",
        f"{ORIGIN}: shop.orders/{order.pk}: {record} 2 (shop.orders[0]@{first + 3}) has event {other_id}"
        f" (OrderConfirmed.v1), the outbox has {sent.event_id} (OrderConfirmed.v1)",
        f"{ORIGIN}: shop.orders/somebody else's: {record} 1 (shop.orders[0]@{first + 4}) has event without an id"
        f" ({stranger.type}), and the outbox has no event with this sequence",
    ]
    call_command("relay_after_restore", "--reason", "forged by a test", stdout=StringIO())
    report = verify()
    assert tell(report) == []
    assert (report.counts["foreign_records_in_kafka"], report.counts["explained_records_in_kafka"]) == (5, 5)


def test_a_record_whose_row_was_edited_afterwards_is_no_difference(
    world: World, orders: Orders, break_by_hand: Break
) -> None:
    break_by_hand(
        "insert into relay_intervention (actor, action, topic, key, sequence, before, reason)"
        " select 'ada', 'edit', topic, key, sequence, body, 'a test' from relay_outbox"
        " where key = '{confirmed.id}' and type = 'OrderConfirmed.v1'",
        "update relay_outbox set body = body || ' ' where key = '{confirmed.id}' and type = 'OrderConfirmed.v1'",
    )
    assert tell(verify()) == []


def test_a_wrong_order_that_a_republishing_has_repaired_is_not_reported(world: World, orders: Orders) -> None:
    """Kafka lost event 1, the relay sent event 2, then a person let the relay send both of them again."""
    order = orders["confirmed"]
    early, lost = world.log[find_record(world, order, 2)], world.log.pop(find_record(world, order, 1))
    world.log.append(lost._replace(offset=len(world.log)))
    wrong = [f"{LOG}: in Kafka shop.orders/{order.pk} jumps from 0 to 2"]
    assert tell(verify()) == wrong
    record_intervention("republish", actor="eve", reason="lost", topic="shop.orders")
    assert tell(verify()) == wrong, "event 2 must come again behind event 1"
    world.log.append(early._replace(offset=len(world.log)))
    assert tell(verify()) == []


def test_pruned_events_that_a_republishing_could_not_send_are_not_reported(
    world: World, orders: Orders, break_by_hand: Break
) -> None:
    order = orders["confirmed"]
    del world.log[find_record(world, order, 1)]
    break_by_hand("update relay_stream set floor = 1 where topic = 'shop.orders' and key = '{confirmed.id}'")
    assert f"{LOG}: in Kafka shop.orders/{order.pk} jumps from 0 to 2" in tell(verify())
    record_intervention("republish", actor="eve", reason="lost", topic="shop.orders")
    assert not [found for found in tell(verify()) if found.startswith(LOG)]


def test_an_unpublished_row_below_the_low_watermark_is_reported(orders: Orders, break_by_hand: Break) -> None:
    break_by_hand(
        "update relay_outbox set published_at = null where key = '{confirmed.id}' and type = 'OrderConfirmed.v1'",
        "insert into relay_shardlease (shard, owner, epoch, until, low_mark)"
        " select n, 'somebody', 1, now(), 1000000000 from generate_series(0, 15) n",
    )
    (sentence,) = tell(verify())
    assert f"OrderConfirmed.v1 of shop.orders/{orders['confirmed'].pk}, position " in sentence
    assert sentence.endswith("is not published and not above the low watermark: run relay_rescan to publish it")
    break_by_hand("update relay_outbox set refused_reason = 'too large' where published_at is null")
    assert tell(verify()) == []


def test_repeats_and_unreadable_records_are_counted_and_are_no_difference(world: World, orders: Orders) -> None:
    sent_again = [delivery._replace(offset=len(world.log) + n) for n, delivery in enumerate(world.log[:7])]
    unreadable = world.log[0]._replace(problem="it has no key", offset=901)
    world.log += [*sent_again, unreadable]
    report = verify()
    assert tell(report) == []
    assert report.counts["repeats_in_kafka"] == 7
    assert report.counts["unreadable_records_in_kafka"] == 1
    assert report.counts["foreign_records_in_kafka"] == 0


def test_pruned_rows_are_left_out(orders: Orders, break_by_hand: Break) -> None:
    break_by_hand(
        "delete from relay_outbox where topic = 'shop.orders' and key = '{delivered.id}' and sequence <= 2",
        "update relay_stream set floor = 2 where topic = 'shop.orders' and key = '{delivered.id}'",
    )
    assert tell(verify()) == []


def test_waiting_ends_as_soon_as_nothing_is_in_flight_or_the_time_is_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = world.place()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            world.run()

    monkeypatch.setattr("shop.management.verification.drain.time.sleep", nap)
    steps: list[str] = []
    report = verify(wait_seconds=60, tell=steps.append)
    assert len(naps) == 3
    assert steps[1].startswith("waiting for 1 unpublished_rows, 1 events_for_inventory, ")
    assert (report.in_flight, tell(report)) == ({}, [])
    assert Order.objects.get(pk=order.pk).status == "confirmed"
    world.place()
    assert verify(wait_seconds=0).in_flight["unpublished_rows"] == 1


def run_command(*options: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify", *options, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_exits_with_1_when_something_differs(orders: Orders, break_by_hand: Break) -> None:
    code, out = run_command()
    assert code == 0
    assert "no difference found" in out
    break_by_hand("update inventory_stock set on_hand = on_hand + 1 where sku = 'LAMP'")
    code, out = run_command()
    assert code == 1
    assert "broken: stock adds up: stock of LAMP: " in out
    code, out = run_command("--json")
    report = json.loads(out)
    assert (code, report["ok"]) == (1, False)
    assert report["differences"][0]["rule"] == STOCK
    assert report["in_flight"] == {}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BrokerUnavailable("nobody answers"), "Kafka"),
        (OperationalError("connection refused"), "database"),
        (GatewayUnavailable("no answer"), "gateway"),
    ],
)
def test_an_unreachable_service_is_reported_without_a_traceback(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("shop.management.commands.verify.verify", fail)
    with pytest.raises(CommandError, match=words):
        call_command("verify")


def test_a_database_error_names_the_rule(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr("shop.management.verification.find_stock_differences", fail)
    with pytest.raises(CommandError, match="while checking that stock adds up: canceling statement"):
        call_command("verify")


def test_a_long_step_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    err = StringIO()

    def take_long(*, wait_seconds: float, tell: Callable[[str], None]) -> Report:
        tell("counting sheep")
        while "sheep" not in err.getvalue():
            time.sleep(0.01)
        return Report()

    monkeypatch.setattr("shop.management.commands.verify.TELL_SECONDS", 0.01)
    monkeypatch.setattr("shop.management.commands.verify.verify", take_long)
    call_command("verify", stdout=StringIO(), stderr=err)
    assert re.search(r"^ +0 s: counting sheep$", err.getvalue(), re.MULTILINE)


@pytest.mark.usefixtures("world")
def test_each_rule_is_reported_before_its_check() -> None:
    steps: list[str] = []
    verify(tell=steps.append)
    rules = [step.removeprefix("checking that ") for step in steps if step.startswith("checking that ")]
    assert {rule for found in BROKEN.values() for rule, _ in found} <= set(rules)


@pytest.fixture
def drained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the count of work in flight, because it would leave its settings in the test's transaction."""
    monkeypatch.setattr("shop.management.verification.wait_until_drained", lambda seconds, tell: {})


@pytest.mark.usefixtures("drained")
def test_no_rule_uses_a_nested_loop(orders: Orders) -> None:
    """Check the query plans: a nested loop would take hours with 100,000 orders and old statistics."""
    plans: list[str] = []

    def explain(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        with context["connection"].connection.cursor() as cursor:
            reads_everything = cursor.execute("show enable_nestloop").fetchone() == ("off",)
            if reads_everything and sql.split(None, 1)[0] in ("select", "with", "SELECT"):
                plans.append("\n".join(line for (line,) in cursor.execute(f"explain {sql}", parameters)))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        verify()
    assert len(plans) > 40
    assert [plan for plan in plans if "Nested Loop" in plan or "SubPlan" in plan] == []


@pytest.mark.usefixtures("world", "drained")
def test_the_connection_is_left_as_it_was() -> None:
    def read_settings() -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(
                "select name, setting from pg_settings where name ~ '^enable_|_timeout$|work_mem' order by 1"
            )
            rows: list[tuple[str, str]] = cursor.fetchall()
            return rows

    before = read_settings()
    verify()
    assert read_settings() == before


def test_a_negative_wait_is_refused() -> None:
    with pytest.raises(CommandError, match="-1"):
        call_command("verify", "--wait", "-1")
