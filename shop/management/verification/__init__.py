"""Verification of the running shop: the rules, the differences that they find, and the work in flight."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection

from analytics.verification import find_recount_differences
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
from shop.management.verification.log import (
    Log,
    find_cursor_differences,
    find_foreign_records,
    find_log_differences,
)
from shop.management.verification.outbox import (
    find_orders_without_events,
    find_rows_left_behind,
    find_stream_gaps,
    read_ends,
)

QUESTION_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Difference:
    """A violation of a rule: `rule` is its name, and `difference` describes the place."""

    rule: str
    difference: str


@dataclass(slots=True)
class Report:
    """The result of a verification. Only `differences` are violations of rules."""

    differences: list[Difference] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-like data. ``ok`` is true if there are no differences."""
        return {"ok": not self.differences, **asdict(self)}


# Each query reads whole tables. With old statistics, the planner would choose a nested loop that takes hours.
# `work_mem` is large enough to keep sorts and hashes in memory.
_READ_EVERYTHING = f"""
set statement_timeout = '{QUESTION_SECONDS}s'; set enable_nestloop = off; set work_mem = '64MB'
"""
_READ_AS_USUAL = "reset statement_timeout; reset enable_nestloop; reset work_mem"


@contextmanager
def reading_everything() -> Iterator[None]:
    """Set the connection's timeouts and planner options for queries over whole tables.

    After an error the options are not reset, and the connection must not be used again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_READ_EVERYTHING)
        yield
        cursor.execute(_READ_AS_USUAL)


def ignore_step(step: str) -> None:
    """Ignore the step."""


def verify(*, wait_seconds: float = 0.0, tell: Callable[[str], None] = ignore_step) -> Report:
    """Check all rules on the running shop and return the report.

    Wait at most `wait_seconds` until nothing is in flight. Call `tell` with a description before each step.

    :raises BrokerUnavailable: Kafka's log can't be read.
    :raises OperationalError: the database can't be read.
    :raises GatewayUnavailable: the gateway's ledger can't be read.
    """
    tell("counting the work in flight")
    report = Report(in_flight=wait_until_drained(wait_seconds, tell))
    with reading_everything():
        check_rules(report, tell)
    return report


def check_rules(report: Report, tell: Callable[[str], None]) -> None:
    """Add all differences and the numbers of compared records to `report`. Raises the same errors as `verify`."""
    # Read offsets, streams and Kafka's log in this order: an offset is committed after its cursor has moved, and a row
    # is marked as published after Kafka has it.
    tell("reading the committed offsets of the consumers")
    committed = cluster.read_committed([consumer.name for consumer in all_consumers()])
    tell("reading the ends of all streams")
    ends = read_ends()
    log = Log(ends)
    # Include topics that were removed from the contract: their rows are in the outbox until they are pruned.
    topics = {*known_topics(), *(topic for topic, _ in ends.streams)} - {CanarySent.topic}
    log.read(sorted(topics), tell)
    rules: dict[str, Callable[[], Iterator[str]]] = {
        "every order has its events": find_orders_without_events,
        "every stream is gapless": find_stream_gaps,
        "every row up to the low watermark is published": find_rows_left_behind,
        "every published row is in Kafka, first occurrences in order": lambda: find_log_differences(ends, log),
        "every record in Kafka is from the outbox": lambda: find_foreign_records(log),
        "every cursor is at the end of its stream": lambda: find_cursor_differences(ends, log, committed),
        "every effect has its event": find_effects_without_event,
        "no effect is stored twice": find_duplicate_effects,
        "every applied event has its effect": find_events_without_effect,
        "stock adds up": find_stock_differences,
        "money adds up": find_money_differences,
        "orders add up": find_wrong_orders,
        "promotions add up": find_promotion_differences,
        "orders and stock agree": find_misplaced_stock,
        "orders and reservations agree": find_wrong_reservations,
        "orders record their payments' status": find_unheard_payments,
        "orders and payments agree": find_unpaid_orders,
        "every message was sent once": find_message_differences,
        "analytics equals a recount of the outbox": find_recount_differences,
    }
    for rule, find in rules.items():
        tell(f"checking that {rule}")
        report.differences += [Difference(rule, difference) for difference in find()]
    report.counts = {
        "streams": len(ends.streams),
        "records_in_kafka": log.records,
        "repeats_in_kafka": log.repeats,
        "unreadable_records_in_kafka": log.unreadable,
        "foreign_records_in_kafka": len(log.foreign) + log.explained,
        "explained_records_in_kafka": log.explained,
        "parked_keys": ends.parked,
    }
