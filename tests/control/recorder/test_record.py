"""The record of an order: each commit, record, application and effect with its time, and what has not happened yet."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from analytics.flink import tables
from orders.models import Order
from relay.models import Cursor, Outbox, Stream
from relay.operations.audit import record_intervention
from relay.operations.pause import pause
from shop.audit.record import record_action
from shop.control.ledger.effects import compare_again
from shop.control.ledger.models import LedgerCheck, LedgerWindow
from shop.control.ledger.traces import TRACES
from tests.control.recorder.conftest import WORK, LogIn

pytestmark = pytest.mark.django_db


def read(client: Client, order: Order, query: str = "") -> str:
    """Return the record's page without tags and with single spaces."""
    answer = client.get(f"/control/orders/{order.number}/{query}")
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_the_record_shows_each_moment_of_the_way(order: Order, log_in: LogIn) -> None:
    page = read(log_in(*WORK), order)
    for text in (
        "outbox #1 OrderPlaced committed",
        "kafka #1 OrderPlaced is in Kafka",
        "inventory #1 stock: reserved 1 LAMP, reserved 3 MUG",
        "payments #1 payment: opened, €87.40",
        "analytics #1 analytics: placed at",
        "saga: placed → confirmed",
        "payments #4 payment: capture requested",
        "stock: sold 1 LAMP",
        "messages: SMS, e-mail, in the shop",
        "gateway authorize €87.40: approved (1 call",
        "gateway capture €87.40: approved (1 call",
        "letters #4 e-mail “confirmed” waits for a worker",
    ):
        assert text in page, text
    assert "2 steps not yet done" in page  # the e-mail and the SMS
    assert "≈" not in page.split("Times are by")[0]  # each time is by the database's clock
    # Each of the seven events reached its consumers twice.
    repeats = sum(Cursor.objects.filter(key=str(order.pk)).values_list("repeats", flat=True))
    assert repeats > 7
    assert f"{repeats} records of applied events arrived again and were dropped. Each effect exists once." in page
    assert "it did nothing" in page


def test_a_refused_a_paused_and_a_parked_step_name_the_place_where_staff_mend_it(order: Order, log_in: LogIn) -> None:
    key = str(order.pk)
    Cursor.objects.filter(consumer="inventory", topic="shop.orders", key=key).update(
        last=0, applied_at=[], parked_at="2026-11-30T12:00:00Z", reason="KeyError: 'LAMP'", attempts=3
    )
    Cursor.objects.filter(consumer="analytics", key=key).delete()
    pause("analytics", actor="ada", reason="The disk is full.")
    Outbox.objects.filter(topic="shop.payments", key=key).update(published_at=None, refused_reason="record too large")
    viewer = log_in(*WORK)
    page = read(viewer, order)
    assert "OrderPlaced is parked after 3 failed tries: KeyError: &#x27;LAMP&#x27; (it waits for a person)" in page
    assert "OrderConfirmed waits behind a parked event" in page
    assert "OrderPlaced waits: paused since" in page
    assert "by ada: The disk is full." in page
    assert "Kafka refused PaymentAuthorized: record too large" in page
    raw = viewer.get(f"/control/orders/{order.number}/").content.decode()
    for place in ("control:parked-key", "admin:relay_outbox_changelist"):
        assert reverse(place) in raw
    assert reverse("control:consumer", args=["analytics"]) in raw
    assert "mark--stopped" in raw


def test_an_order_without_outbox_rows_says_so_and_shows_what_is_left(order: Order, log_in: LogIn) -> None:
    key = str(order.pk)
    Outbox.objects.filter(key=key).delete()
    for stream in Stream.objects.filter(key=key):
        Stream.objects.filter(topic=stream.topic, key=key).update(floor=stream.last)
    page = read(log_in(*WORK), order)
    assert "events of this order are no longer in the outbox" in page
    assert "StockReserved: placed → placed (event pruned)" in page
    assert "gateway capture" in page
    assert "The outbox has no event of this order." in page


def test_times_of_old_cursors_come_from_the_effects(order: Order, log_in: LogIn) -> None:
    Cursor.objects.filter(key=str(order.pk)).update(applied_at=[])  # as before the column existed
    raw = log_in().get(f"/control/orders/{order.number}/").content.decode()
    assert "By the clock of a process" in raw
    assert re.search(r'unknown">unknown</span></td>\s*<td class="number soft"></td>\s*<th scope="row">analytics', raw)


def test_people_and_work_are_shown_to_staff_with_the_permissions_only(order: Order, log_in: LogIn) -> None:
    subject = f"orders.order:{order.pk}"
    record_action("admin:ada", "cancel", subject, {"status": "placed"}, {"status": "cancelled"}, "Rang to say so.")
    record_intervention(
        "redrive", actor="bob", reason="Fixed.", consumer="orders", topic="shop.payments", key=str(order.pk), sequence=1
    )
    texts = {
        "audit.view_staffaction": "admin:ada: cancel orders.order: Rang to say so.",
        "relay.view_intervention": "bob: redrive #1 of shop.payments of orders: Fixed.",
        "payments.view_attempt": "gateway capture",
        "notifications.view_message": "letters #4 e-mail",
    }
    few, all_of_them = read(log_in(), order), read(log_in(*texts), order)
    assert f"Hidden parts need these permissions: {', '.join(sorted(texts))}." in few
    assert [text for text in texts.values() if text in few] == []
    assert [text for text in texts.values() if text not in all_of_them] == []


def test_a_payload_is_masked_without_the_permission(order: Order, log_in: LogIn) -> None:
    reference = Outbox.objects.get(type__startswith="OrderPlaced.").body.split('"payment_reference":"')[1].split('"')[0]
    masked, whole = read(log_in(), order, "?payload=1"), read(log_in("relay.view_payload"), order, "?payload=1")
    for page in (masked, whole):
        assert "Payload of #1 OrderPlaced" in page
        assert "&quot;sku&quot;: &quot;LAMP&quot;" in page
    assert (reference in masked, "contact_id hidden" in masked) == (False, True)
    assert str(order.contact_id) not in masked
    assert (reference in whole, str(order.contact_id) in whole) == (True, True)
    assert "Payload of" not in read(log_in("payments.view_payment"), order, "?payload=99")


def test_the_admin_links_to_the_record(order: Order, admin_client: Client) -> None:
    address = reverse("control:order", args=[order.number])
    assert address in admin_client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    Cursor.objects.filter(consumer="orders").update(parked_at="2026-11-30T12:00:00Z")
    record_intervention("skip", actor="bob", reason="Old.", topic="shop.orders", key=str(order.pk))
    by_id = reverse("control:order", args=[str(order.pk)])
    for table in ("parkedkey", "intervention"):
        assert by_id in admin_client.get(reverse(f"admin:relay_{table}_changelist")).content.decode(), table


def test_no_query_of_the_pages_reads_a_whole_table(order: Order, log_in: LogIn) -> None:
    """Each plan finds the rows of a large table by an index condition, even where the table is small now."""
    viewer = log_in(*WORK, "relay.view_payload")
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, values: Any, many: bool, context: Any) -> Any:
        statements.append((sql, values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(note):
        viewer.get(f"/control/orders/{order.number}/?payload=1")
        viewer.get("/control/orders/?q=NOSUCHONE")
        viewer.get(f"/control/orders/?q={order.pk}")
    plans = [explain(sql, values) for sql, values in statements if sql.startswith("SELECT")]
    assert len(plans) > 20
    scans = [node for plan in plans for node in walk(plan) if node.get("Relation Name", "").startswith(LARGE)]
    assert len(scans) > 15
    assert [node for node in scans if not node.get("Index Cond")] == []


LARGE = ("orders_", "relay_outbox", "relay_stream", "relay_cursor", "relay_intervention", "inventory_", "payments_",
         "notifications_", "analytics_", "audit_")  # fmt: skip


def explain(sql: str, values: Any) -> dict[str, Any]:
    """Return the plan of a statement whose sequential scans are forbidden where an index can answer."""
    with connection.cursor() as cursor:
        cursor.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
        cursor.execute(f"explain (format json) {sql}", values)
        plan: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]
        cursor.execute("reset enable_seqscan; reset enable_bitmapscan")
    return plan


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a node of a plan and all nodes below it."""
    below = [inner for child in node.get("Plans", []) for inner in walk(child)]
    return [node, *below]


def test_with_flinks_pages_the_record_and_the_ledger_read_the_facts_of_the_consumer(
    order: Order, log_in: LogIn, settings: Settings
) -> None:
    tables.create_tables()  # empty: Flink has not caught up yet
    settings.ANALYTICS = settings.ANALYTICS_PAGES = "flink"
    assert "analytics #1 analytics: placed at" in read(log_in(*WORK), order)
    check = LedgerCheck(window=LedgerWindow(after=0, until=2**62), part="analytics")
    outcome = compare_again([check], ["shop.orders"], TRACES)
    assert (outcome.effects, outcome.differences) == (2, {})
