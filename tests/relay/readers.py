"""A consumer that records the events it applies, and deliveries in Kafka's form without a broker."""

from uuid import UUID

from django.db import connection, transaction

from relay import Consumer, publish
from relay.consumer.deliveries import Delivery
from relay.models import Cursor, Outbox
from relay.testing.delivery import make_delivery
from tests.relay.events import BookLent, NoticePosted


class Readers:
    """A consumer that writes a row for each applied event, and that fails on request.

    `failing` maps a sequence number or a book to the error that the handler raises for it.
    """

    def __init__(self) -> None:
        self.consumer = Consumer("readers")
        self.consumer.on(BookLent)(self.handle)
        self.failing: dict[object, Exception] = {}
        self.transactions: list[int] = []

    def handle(self, event: BookLent) -> None:
        publish(NoticePosted(board=str(event.book), text=event.reader))
        with connection.cursor() as cursor:
            cursor.execute("select pg_current_xact_id()::text::bigint")
            self.transactions.append(cursor.fetchone()[0])
        for cause in (event.book, event.reader):
            if cause in self.failing:
                raise self.failing[cause]

    def applied(self, book: UUID) -> list[str]:
        """Return the readers (people) of the applied events of `book`, in order."""
        rows = Outbox.objects.filter(topic="test.notices", key=str(book)).order_by("sequence")
        return [NoticePosted.decode(row.body).text for row in rows]

    def cursor(self, book: UUID | str) -> Cursor:
        return Cursor.objects.get(consumer="readers", topic="test.library", key=str(book))

    def catch_up(self, book: UUID | str) -> bool:
        return self.consumer.catch_up(("test.library", str(book)))


def lend(book: UUID, *people: str) -> list[Delivery]:
    """Publish one BookLent for each of `people` and return the deliveries."""
    with transaction.atomic():
        for person in people:
            publish(BookLent(book=book, reader=person))
    return deliver(book)


def deliver(book: UUID | str) -> list[Delivery]:
    """Return all events of `book` in the outbox as deliveries."""
    rows = Outbox.objects.filter(topic="test.library", key=str(book)).order_by("sequence")
    return [make_delivery(row) for row in rows]
