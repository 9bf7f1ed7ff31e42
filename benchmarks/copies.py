"""Fast creation of many orders: a few orders in all final states, and copies of their rows with new ids."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.stage import wait_until
from tests.running_shop import RunningShop

# The tables with rows of an order, and the expressions for the columns of the n-th copy. Other columns of type uuid get
# new ids, timestamps are moved back by n hours, and serial columns get new numbers.
_KEY = "md5({0} || ':' || n)::uuid"
_OF_PAYMENT = _KEY.format("left({0}, 36)") + " || substr({0}, 37)"
_TABLES: dict[str, dict[str, str]] = {
    "contacts_contact": {},
    "orders_order": {"number": "upper(left(md5(number || n), 12))"},
    "orders_orderline": {},
    "orders_transition": {},
    "orders_idempotencykey": {"key": "key || ':' || n"},
    "inventory_reservation": {},
    "inventory_movement": {},
    "payments_payment": {"gateway_reference": "case gateway_reference when '' then '' else gateway_reference || n end"},
    "payments_refund": {},
    "payments_attempt": {"idempotency_key": _OF_PAYMENT.format("idempotency_key"), "refund_id": "null::bigint"},
    "sandbox_gateway.ledger": {
        "idempotency_key": _OF_PAYMENT.format("idempotency_key"),
        "reference": "case reference when '' then '' else reference || n end",
    },
    "notifications_message": {},
    "notifications_sandboxdelivery": {"message_id": _KEY.format("message_id") + "::text"},
    "relay_stream": {"key": _KEY.format("key") + "::text"},
    "relay_outbox": {
        "key": _KEY.format("key") + "::text",
        "key_hash": "abs(hashtext(key) / 2 + n)",
        "body": "replace(body, key, " + _KEY.format("key") + "::text)",
        "published_at": "null::timestamptz",  # so that the relay sends it
    },
    "relay_cursor": {"key": _KEY.format("key") + "::text"},
}
_ONLY = {
    "inventory_movement": "where order_id is not null",
    "relay_stream": "where topic = any(%(topics)s)",
    "relay_outbox": "where topic = any(%(topics)s)",
    "relay_cursor": "where topic = any(%(topics)s)",
}
_TOPICS = ["shop.orders", "shop.inventory", "shop.payments"]
_COLUMNS = """
select attname, atttypid::regtype::text from pg_attribute
where attrelid = %s::regclass and attnum > 0 and not attisdropped
  and attidentity = '' and pg_get_serial_sequence(%s, attname) is null
order by attnum
"""
_MOVE_STOCK = """
update inventory_stock s
set on_hand = on_hand + %(copies)s * moved_on_hand, reserved = reserved + %(copies)s * moved_reserved
from (select sku, sum(on_hand_delta) as moved_on_hand, sum(reserved_delta) as moved_reserved
      from inventory_movement where order_id is not null group by sku) m
where m.sku = s.sku
"""


def take_every_way(
    shop: RunningShop, skus: Sequence[str], sold_out: str, count: int, *, stopped: Callable[[], None]
) -> None:
    """Place `count` orders that end in all possible states, and wait until nothing is in flight.

    One twentieth each is declined, sold out, cancelled immediately and cancelled after the capture. One fifth is
    delivered. Inventory is stopped first; `stopped` is called when only inventory's work is left.
    """
    from django.db import transaction

    from benchmarks.backlog import Catalogue, place_quickly, wait_for_the_others
    from orders.lifecycle.saga import Happening
    from orders.lifecycle.transitions import advance_order
    from orders.models import Order
    from shop.management.verification.drain import read_in_flight

    catalogue = Catalogue(list(skus))
    bodies = [catalogue.make_body() for _ in range(count)]
    for body in bodies[::20]:
        body["payment_token"] = "tok_declined"
    for body in bodies[1::20]:
        body["lines"] = [{"sku": sold_out, "quantity": 1}]
    shop.part_stop("inventory")
    place_quickly(bodies)
    wait_for_the_others()
    stopped()
    shop.part_start("inventory")
    placed = list(Order.objects.order_by("pk").values_list("pk", flat=True))

    def advance(orders: Sequence[Any], *happenings: Happening) -> None:
        for order_id in orders:
            for happening in happenings:
                with transaction.atomic():
                    advance_order(order_id, happening)

    advance(placed[2::20], Happening.CANCEL_REQUESTED)
    wait_until(lambda: not read_in_flight(), "the first orders are not finished")
    confirmed = list(Order.objects.filter(status="confirmed").order_by("pk").values_list("pk", flat=True))
    advance(confirmed[::20], Happening.CANCEL_REQUESTED)
    advance(confirmed[1::5], Happening.MARKED_SHIPPED, Happening.MARKED_DELIVERED)
    wait_until(lambda: not read_in_flight(), "the first orders are not finished")


def copy_orders(copies: int, *, published: bool = False) -> None:
    """Add `copies` copies of each order and its rows in one transaction. The copied events are unpublished.

    The consumers' cursors are copied as well, so the consumers treat the events as duplicates. With `published`, the
    events stay published, so that no relay sends them, and triggers and foreign keys do not check the copies.
    """
    from django.db import connection, transaction

    values: dict[str, Any] = {"copies": copies, "topics": _TOPICS}
    connection.close()  # drop cached plans for foreign keys that scan whole tables
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local statement_timeout = 0")
        cursor.execute("set local enable_seqscan = off")
        if published:
            cursor.execute("set local session_replication_role = replica")
        cursor.execute("lock table inventory_stock in exclusive mode")
        cursor.execute(_MOVE_STOCK, values)
        for table, expressions in _TABLES.items():
            cursor.execute(_COLUMNS, [table, table])
            columns = {name: expressions.get(name) or _copy(name, kind) for name, kind in cursor.fetchall()}
            if published and "published_at" in columns:
                columns["published_at"] = "published_at"
            cursor.execute(
                f"insert into {table} ({', '.join(columns)}) select {', '.join(columns.values())}"  # noqa: S608
                f" from (select * from {table} {_ONLY.get(table, '')} order by 1) original"
                " cross join generate_series(1, %(copies)s) n",
                values,
            )
        refill_analytics(cursor)


def refill_analytics(cursor: Any) -> None:
    """Fill the tables of analytics from the outbox. Visits stay as they are, because activity is not copied."""
    from analytics.facts.rows import READERS
    from analytics.generation import FIRST, TABLES
    from analytics.recount.expected import EVENTS, EXPECTED, LINES

    topics = sorted({event.topic for event in READERS})
    cursor.execute(EVENTS, {"consumer": FIRST.consumer, "topics": topics})
    cursor.execute(LINES)
    for name in ("order_fact", "order_line_fact", "minute", "product_hour"):
        cursor.execute(f"delete from {TABLES[name]}")  # noqa: S608 - our own names
        cursor.execute(f"insert into {TABLES[name]} {EXPECTED[name]}")


def _copy(name: str, kind: str) -> str:
    if kind == "uuid":
        return _KEY.format(name)
    return f"{name} - n * interval '1 hour'" if kind == "timestamp with time zone" else name
