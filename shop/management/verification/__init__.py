"""Does everything add up? The rules, the difference that each one finds, and what is merely still in flight."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection

from analytics.verification import find_sales_differences
from inventory.verification import find_stock_differences
from notifications.verification import find_message_differences
from orders.verification import find_promotion_differences
from payments.reconciliation.comparison import find_money_differences
from relay.consumer.registry import all_consumers
from relay.operations import cluster
from relay.publisher.canary import CanarySent
from relay.publisher.topics import known_topics
from shop.management.verification.agreement import (
    find_misplaced_stock,
    find_unheard_payments,
    find_unpaid_orders,
    find_wrong_orders,
    find_wrong_reservations,
)
from shop.management.verification.drain import wait_until_drained
from shop.management.verification.effects import (
    find_duplicate_effects,
    find_effects_without_event,
    find_events_without_effect,
)
from shop.management.verification.log import Log, find_cursor_differences, find_log_differences
from shop.management.verification.outbox import (
    find_orders_without_events,
    find_rows_left_behind,
    find_stream_gaps,
    read_ends,
)
from shop.management.verification.sales import find_recount_differences

QUESTION_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule that does not hold, and where."""

    rule: str
    difference: str


@dataclass(slots=True)
class Report:
    """What was found. `in_flight` and `counts` are no differences."""

    differences: list[Difference] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-like data, with ``ok`` saying whether no difference was found."""
        return {"ok": not self.differences, **asdict(self)}


# Each question reads whole tables. Looking up row by row, which the planner chooses where old statistics say that a
# table is small, takes hours then; so it may not. Sorts and hashes shall fit into memory.
_READ_EVERYTHING = f"""
set statement_timeout = '{QUESTION_SECONDS}s'; set enable_nestloop = off; set work_mem = '64MB'
"""
_READ_AS_USUAL = "reset statement_timeout; reset enable_nestloop; reset work_mem"


@contextmanager
def reading_everything() -> Iterator[None]:
    """Let the connection's questions take long, and be planned as such. After an error it is to be given up."""
    with connection.cursor() as cursor:
        cursor.execute(_READ_EVERYTHING)
        yield
        cursor.execute(_READ_AS_USUAL)


def tell_nobody(step: str) -> None:
    """Keep to oneself what is being done."""


def verify(*, wait_seconds: float = 0.0, tell: Callable[[str], None] = tell_nobody) -> Report:
    """Check every rule on the running system, after waiting up to `wait_seconds` for what is in flight.

    `tell` is called with each step before it begins.

    :raises BrokerUnavailable: Kafka's log can't be read.
    :raises OperationalError: the database can't be read.
    :raises GatewayUnavailable: the gateway's books can't be read.
    """
    tell("counting what is in flight")
    report = Report(in_flight=wait_until_drained(wait_seconds, tell))
    with reading_everything():
        check_rules(report, tell)
    return report


def check_rules(report: Report, tell: Callable[[str], None]) -> None:
    """Add every difference to the report, and how much was compared. Raises as `verify` does."""
    # The order matters: an offset is committed after its cursor has moved, and a row is marked after it was sent.
    tell("reading what the consumers have committed")
    committed = cluster.read_committed([consumer.name for consumer in all_consumers()])
    tell("reading the ends of all streams")
    ends = read_ends()
    log = Log(ends)
    # Also what is not part of the contract any more: its rows are in the outbox until they are pruned.
    topics = {*known_topics(), *(topic for topic, _ in ends.streams)} - {CanarySent.topic}
    log.read(sorted(topics), tell)
    rules: dict[str, Callable[[], Iterator[str]]] = {
        "every order has its events": find_orders_without_events,
        "every stream is gapless": find_stream_gaps,
        "every row is published up to the relays' mark": find_rows_left_behind,
        "every published row is in Kafka, first occurrences in order": lambda: find_log_differences(ends, log),
        "every cursor stands at the end of its key": lambda: find_cursor_differences(ends, log, committed),
        "every effect has its event": find_effects_without_event,
        "no event has its effect twice": find_duplicate_effects,
        "every applied event has its effect": find_events_without_effect,
        "stock adds up": find_stock_differences,
        "money adds up": find_money_differences,
        "orders add up": find_wrong_orders,
        "promotions add up": find_promotion_differences,
        "orders and stock agree": find_misplaced_stock,
        "orders and reservations agree": find_wrong_reservations,
        "orders know their payments": find_unheard_payments,
        "orders and payments agree": find_unpaid_orders,
        "every message was sent once": find_message_differences,
        "sales add up": find_sales_differences,
        "analytics equals a recount from the orders": find_recount_differences,
    }
    for rule, find in rules.items():
        tell(f"checking that {rule}")
        report.differences += [Difference(rule, difference) for difference in find()]
    report.counts = {
        "streams": len(ends.streams),
        "records_in_kafka": log.records,
        "repeats_in_kafka": log.repeats,
        "foreign_records_in_kafka": log.foreign,
        "parked_keys": ends.parked,
    }
