"""The gateway's ledger, copied into a temporary table, so that the comparison needs little memory.

Payments are read in chunks of CHUNK, sorted by their ids, which begin with the time of creation.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from django.db import Error, connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from payments.gateways.protocol import GatewayUnavailable, LedgerEntry, load_gateway
from payments.models import Payment

CHUNK = 1000
#: The ledger is read from this long before the first payment, because the gateway's clock may differ from ours.
OVERLAP = timedelta(hours=1)

_CREATE = """
create temporary table gateway_ledger (
    payment_id uuid, idempotency_key text, operation text, reference text, amount bigint, currency text,
    outcome text, reason text, created_at timestamptz, external_id text)
"""
_COPY = """
insert into gateway_ledger
select * from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],
                     %s::timestamptz[], %s::text[])
"""
_COLUMNS = (
    *("idempotency_key", "operation", "reference", "amount", "currency", "outcome", "reason", "created_at"),
    "external_id",
)
# An entry that the shop did not cause names its payment by the authorization. Without a payment it belongs to another
# program that uses the same account at the gateway.
_FIND_PAYMENTS = """
update gateway_ledger as entry set payment_id = payment.id from payments_payment as payment
where entry.external_id <> '' and payment.gateway_reference = entry.reference and entry.reference <> ''
"""
_FOREIGN = f"""
select {", ".join(_COLUMNS)} from gateway_ledger as entry
where not exists (select from payments_payment where id = entry.payment_id) and external_id = ''
order by created_at limit %s
"""  # noqa: S608 - names of our own columns
_OF_PAYMENTS = f"select payment_id, {', '.join(_COLUMNS)} from gateway_ledger where payment_id = any(%s)"  # noqa: S608
#: The older payments with a ledger entry, or with a refund created or finished since.
_TOUCHED = """
select payment_id from gateway_ledger union
select payment_id from payments_refund where created_at >= %s or finished_at >= %s
"""


class TookTooLong(GatewayUnavailable):
    """The comparison with the ledger did not finish within its time limit."""


@dataclass(frozen=True)
class Scope:
    """The payments to compare: those created from `since` on (None: all), and the changes of older ones since then.

    `began` is the start of the comparison by the database's clock, `until` its deadline by the monotonic clock.
    """

    since: datetime | None
    began: datetime
    until: float

    @property
    def first_id(self) -> UUID:
        """Return the lowest id that a payment created at or after `since` can have."""
        return UUID(int=0) if self.since is None else UUID(int=int(self.since.timestamp() * 1000) << 80)

    def check_time(self) -> None:
        """Check the deadline.

        :raises TookTooLong: the deadline has passed.
        """
        if time.monotonic() > self.until:
            raise TookTooLong("the comparison with the gateway's ledger took too long: compare fewer days")


def make_scope(days: int | None, seconds: float) -> Scope:
    """Return the scope that begins `days` ago (None: with the first payment) and ends in `seconds` from now."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        [(now,)] = cursor.fetchall()
    return Scope(None if days is None else now - timedelta(days=days), now, time.monotonic() + seconds)


@contextmanager
def copy_ledger(scope: Scope) -> Iterator[None]:
    """Copy the gateway's ledger of `scope` into the temporary table `gateway_ledger`, and drop the table at the end.

    :raises GatewayUnavailable: the ledger can't be read.
    """
    entries = load_gateway().read_ledger(scope.since and scope.since - OVERLAP)
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)
        try:
            while batch := list(islice(entries, CHUNK)):
                columns = [[getattr(entry, name) for entry in batch] for name in _COLUMNS]
                cursor.execute(_COPY, [[read_payment_id(entry) for entry in batch], *columns])
                scope.check_time()
            cursor.execute("select exists (select from gateway_ledger where external_id <> '')")
            if cursor.fetchall() == [(True,)]:  # the statement reads the whole table of payments
                cursor.execute(_FIND_PAYMENTS)
            cursor.execute("create index on gateway_ledger (payment_id)")
            cursor.execute("analyze gateway_ledger")
            yield
        finally:
            with suppress(Error):  # a lost connection has dropped the table already
                cursor.execute("drop table gateway_ledger")


def read_payment_id(entry: LedgerEntry) -> UUID | None:
    """Return the payment's id from an idempotency key like ``<payment id>:capture``, or None if there is none."""
    try:
        return UUID(entry.idempotency_key.partition(":")[0])
    except ValueError:
        return None


def read_foreign(limit: int) -> Iterator[LedgerEntry]:
    """Yield at most `limit` copied entries that belong to no payment, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_FOREIGN, [limit])
        for row in cursor.fetchall():
            yield LedgerEntry(**dict(zip(_COLUMNS, row, strict=True)))


def read_entries(payments: Sequence[Payment]) -> Iterator[tuple[UUID, LedgerEntry]]:
    """Yield the copied entries of `payments`, each with the id of its payment."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_PAYMENTS, [[payment.pk for payment in payments]])
        for payment_id, *row in cursor.fetchall():
            yield payment_id, LedgerEntry(**dict(zip(_COLUMNS, row, strict=True)))


def read_settled(scope: Scope) -> Iterator[list[Payment]]:
    """Yield the settled payments of `scope` in lists of at most CHUNK.

    A payment with an operation to do, or changed since the comparison began, is in flight and left out.
    """
    settled = Payment.objects.filter(wanted=Payment.Wanted.nothing, updated_at__lt=scope.began).order_by("pk")
    yield from read_chunks(settled, UUID(int=max(scope.first_id.int - 1, 0)), scope)
    if scope.since:
        touched = RawSQL(_TOUCHED, [scope.since, scope.since])
        yield from read_chunks(settled.filter(pk__lt=scope.first_id, pk__in=touched), UUID(int=0), scope)


def read_chunks(payments: QuerySet[Payment], after: UUID, scope: Scope) -> Iterator[list[Payment]]:
    """Yield the `payments` with ids above `after` in lists of at most CHUNK."""
    while chunk := list(payments.filter(pk__gt=after)[:CHUNK]):
        yield chunk
        after = chunk[-1].pk
        scope.check_time()
