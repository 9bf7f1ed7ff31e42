"""The rows of one order. Each query uses an index of the order's id, of its key or of its events' ids."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from analytics.generation import current, reading
from analytics.models import OrderFact
from inventory.models import Backorder, Movement
from notifications.models import Message
from orders.models import Order, Transition
from payments.models import Attempt, Case, Payment, Refund
from relay.models import ConsumerState, Cursor, ForeignRecord, Intervention, Outbox, Stream
from shop.audit.models import StaffAction

#: Events of an order that the page shows. More than twenty are rare.
MOST_EVENTS = 100
#: Rows of one other kind.
MOST_ROWS = 200
#: Time limit of one statement.
STATEMENT_SECONDS = 2


@dataclass(frozen=True)
class Facts:
    """All rows of an order. `read_at` is the database's time. Events have no body, see :func:`read_body`."""

    order: Order
    read_at: datetime
    events: list[Outbox]
    streams: dict[str, Stream]
    cursors: dict[tuple[str, str], Cursor]
    pauses: dict[str, ConsumerState]
    foreign: list[ForeignRecord]
    steps: list[Transition]
    movements: list[Movement]
    backorders: list[Backorder]
    payment: Payment | None
    attempts: list[Attempt]
    refunds: list[Refund]
    messages: list[Message]
    fact: OrderFact | None
    interventions: list[Intervention]
    actions: list[StaffAction]

    @property
    def pruned(self) -> int:
        """The number of events that are pruned from the outbox."""
        return sum(stream.floor for stream in self.streams.values())


@contextmanager
def brief_statements() -> Iterator[None]:
    """Open a transaction whose statements end after STATEMENT_SECONDS."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"set local statement_timeout = '{STATEMENT_SECONDS}s'")
        yield


def read_facts(order: Order) -> Facts:
    """Read all rows of `order`."""
    key = str(order.pk)
    with brief_statements():
        # The index of keys gives this order. To order by position, PostgreSQL might read the whole table.
        events = list(Outbox.objects.filter(key=key).defer("body").order_by("topic", "sequence")[:MOST_EVENTS])
        events.sort(key=lambda event: event.position)
        payment = Payment.objects.filter(order_id=order.pk).defer("payment_token").first()
        messages = list(Message.objects.filter(order_id=order.pk).defer("subject", "body").order_by()[:MOST_ROWS])
        cases = Case.objects.filter(payment=payment).values_list("pk", flat=True)[:MOST_ROWS] if payment else []
        return Facts(
            order=order,
            read_at=read_clock(),
            events=events,
            streams={stream.topic: stream for stream in Stream.objects.filter(key=key)},
            cursors={(row.consumer, row.topic): row for row in Cursor.objects.filter(key=key)},
            pauses={row.consumer: row for row in ConsumerState.objects.exclude(paused_at=None)},
            foreign=list(ForeignRecord.objects.filter(key=key)[:MOST_ROWS]),
            steps=list(Transition.objects.filter(order=order).order_by()[:MOST_ROWS]),
            movements=read_movements(event.event_id for event in events),
            backorders=list(Backorder.objects.filter(order_id=order.pk)),
            payment=payment,
            attempts=list(Attempt.objects.filter(payment=payment).order_by()[:MOST_ROWS]) if payment else [],
            refunds=list(Refund.objects.filter(payment=payment)[:MOST_ROWS]) if payment else [],
            messages=messages,
            fact=read_fact(order),
            interventions=list(Intervention.objects.filter(key=key).order_by()[:MOST_ROWS]),
            actions=read_actions(order, payment, cases, messages),
        )


def read_fact(order: Order) -> OrderFact | None:
    """Return the order's row in the current generation of analytics."""
    with reading(current()):  # the facts of the consumer, also if pages read the tables of Flink
        return OrderFact.objects.filter(pk=order.pk).first()


def read_clock() -> datetime:
    """Return the database's time."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def read_movements(events: Iterable[UUID]) -> list[Movement]:
    """Return the movements of these events. No index finds movements by order."""
    return list(Movement.objects.filter(event_id__in=list(events)).order_by("event_id", "sku")[:MOST_ROWS])


def read_actions(
    order: Order, payment: Payment | None, cases: Iterable[int], messages: Iterable[Message]
) -> list[StaffAction]:
    """Return the staff's actions on the order, its payment, its cases and its messages."""
    subjects = [f"orders.order:{order.pk}"]
    subjects += [f"payments.payment:{payment.pk}"] if payment else []
    subjects += [f"payments.case:{case}" for case in cases]
    subjects += [f"notifications.message:{message.pk}" for message in messages]
    return list(StaffAction.objects.filter(subject__in=subjects).order_by("subject", "-at")[:MOST_ROWS])


def read_body(event: Outbox) -> str:
    """Return the payload of an event as JSON text."""
    with brief_statements():
        rows = Outbox.objects.filter(key=event.key, topic=event.topic, sequence=event.sequence)
        return str(rows.values_list("body", flat=True)[0])
