"""The sandbox gateway's ledger, in a schema of its own that nothing but the gateway writes.

Its connections commit by themselves, as a real gateway's books do: whether the shop then records them or crashes.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
from django.db import connections
from psycopg.rows import class_row

from payments.gateways.protocol import GatewayAnswer, LedgerEntry
from payments.sandbox.scripts import find_refusal, make_reference

Connection = psycopg.Connection[Any]
Address = tuple[Any, ...]

# Nobody waits for the disk: the shop's record of an answer stands later in the same write-ahead log, so that a crash
# can't keep the record and lose the booking.
_OPTIONS = "-c statement_timeout=4s -c synchronous_commit=off"
#: A connection for each call would cost more than the call.
_idle: deque[tuple[Address, Connection]] = deque()

_ANSWER = "outcome, reference, amount, currency, reason"
_BOOK = f"""
insert into sandbox_gateway.ledger (idempotency_key, operation, reference, amount, currency, outcome, reason)
values (%s, %s, %s, %s, %s, %s, %s) on conflict (idempotency_key) do nothing returning {_ANSWER}
"""  # noqa: S608 - names of our own columns
# A unique index lets an authorization end once, so that nothing has to be locked. Without a row coming back something
# stands in the way: the key is known, the authorization has ended, or there is none.
_END_HOLD = f"""
insert into sandbox_gateway.ledger (idempotency_key, operation, reference, amount, currency, outcome, reason)
select %(key)s, %(operation)s, reference, coalesce(%(amount)s, amount), currency,
       case when %(amount)s > amount then 'declined' else 'approved' end,
       case when %(amount)s > amount then 'only ' || amount || ' is authorized' else '' end
from sandbox_gateway.ledger where reference = %(reference)s and operation = 'authorize' and outcome = 'approved'
on conflict do nothing returning {_ANSWER}
"""  # noqa: S608
_FIND = f"select {_ANSWER} from sandbox_gateway.ledger where idempotency_key = %s"  # noqa: S608


class KeyReused(Exception):
    """The idempotency key was used before for another operation, reference or amount."""


@contextmanager
def open_books() -> Iterator[Connection]:
    """Lend a connection that is the gateway's own, where each statement commits by itself.

    :raises psycopg.OperationalError: PostgreSQL is away.
    """
    parameters = connections["default"].get_connection_params()
    address = (parameters["dbname"], parameters.get("host"), parameters.get("port"))
    try:
        books = _take_idle(address) or psycopg.connect(
            **{**parameters, "application_name": "sandbox gateway", "options": _OPTIONS},
            autocommit=True,
        )
        try:
            yield books
        except BaseException:
            books.close()
            raise
        _idle.append((address, books))
    except psycopg.OperationalError:
        close_idle_books()  # the server may have gone: none of them is to be believed
        raise


def _take_idle(address: Address) -> Connection | None:
    """Take the connection that was used last, if there is one to this address."""
    with suppress(IndexError):
        while True:
            known_address, books = _idle.pop()
            if known_address == address and not books.closed:
                return books
            books.close()
    return None


def close_idle_books() -> None:
    """Close the connections that nobody has borrowed."""
    with suppress(IndexError):
        while True:
            _idle.pop()[1].close()


def authorize(books: Connection, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
    """Book that `amount` is held, or why not, or return what was answered under this key before.

    :raises KeyReused: the key stands for something else.
    """
    refusal = find_refusal(token)
    reference = "" if refusal else make_reference(token)
    return _book(books, key, "authorize", reference, amount, currency, refusal)


def end_hold(books: Connection, key: str, operation: str, reference: str, amount: int | None) -> GatewayAnswer:
    """Capture `amount`, or void all of it (None), or book why that can't be done.

    :raises KeyReused: the key stands for something else.
    """
    values = {"key": key, "operation": operation, "reference": reference, "amount": amount}
    if answer := _read(books, _END_HOLD, values):
        return answer
    if find_answer(books, key):
        return _read_again(books, key, operation, reference, amount)
    obstacle = find_obstacle(books, reference)
    return _book(books, key, operation, reference, amount, find_refundable(books, reference)[1], obstacle)


def refund(books: Connection, key: str, reference: str, amount: int) -> GatewayAnswer:
    """Book that `amount` goes back, in parts or at once, never more than was captured.

    :raises KeyReused: the key stands for something else.
    """
    with books.transaction():
        # Two refunds at once would both find the same rest.
        books.execute(
            "select from sandbox_gateway.ledger where reference = %s and operation = 'authorize' for update",
            [reference],
        )
        left, currency = find_refundable(books, reference)
        refusal = f"only {left} is left to refund" if amount > left else None
        return _book(books, key, "refund", reference, amount, currency, refusal)


def find_answer(books: Connection, key: str) -> GatewayAnswer | None:
    """Return what was answered under `key`."""
    return _read(books, _FIND, [key])


def _read(books: Connection, statement: str, values: Sequence[Any] | dict[str, Any]) -> GatewayAnswer | None:
    with books.cursor(row_factory=class_row(GatewayAnswer)) as cursor:
        return cursor.execute(statement, values).fetchone()


def _book(
    books: Connection,
    key: str,
    operation: str,
    reference: str,
    amount: int | None,
    currency: str,
    refusal: str | None,
) -> GatewayAnswer:
    outcome = "declined" if refusal else "approved"
    answer = _read(books, _BOOK, [key, operation, reference, amount or 0, currency, outcome, refusal or ""])
    return answer or _read_again(books, key, operation, reference, amount)


def _read_again(books: Connection, key: str, operation: str, reference: str, amount: int | None) -> GatewayAnswer:
    """Return what was answered under `key`, which must have been about the same.

    :raises KeyReused: it stands for another operation, reference or amount.
    """
    booked = books.execute("select operation from sandbox_gateway.ledger where idempotency_key = %s", [key]).fetchone()
    answer = find_answer(books, key)
    assert booked and answer, "a key that conflicted has gone, but nothing is ever deleted here"
    same_reference = operation == "authorize" or answer.reference == reference
    if booked[0] != operation or answer.amount != (amount or answer.amount) or not same_reference:
        raise KeyReused(f"{key!r} was used for {booked[0]} of {answer.amount}, now for {operation} of {amount}")
    return answer


def find_obstacle(books: Connection, reference: str) -> str:
    """Say why an authorization can be neither captured nor voided."""
    ended = books.execute(
        "select operation from sandbox_gateway.ledger"
        " where reference = %s and operation in ('capture', 'void') and outcome = 'approved'",
        [reference],
    ).fetchone()
    if ended is None:
        return "no such authorization"
    return f"already {'captured' if ended[0] == 'capture' else 'voided'}"


def find_refundable(books: Connection, reference: str) -> tuple[int, str]:
    """Return what was captured under `reference` and not yet given back, in minor units, and its currency."""
    row = books.execute(
        "select coalesce(sum(case operation when 'capture' then amount when 'refund' then -amount end), 0)::bigint,"
        " coalesce(min(currency), '') from sandbox_gateway.ledger where reference = %s and outcome = 'approved'",
        [reference],
    ).fetchone()
    return row or (0, "")


def count_call(books: Connection, key: str) -> int:
    """Return how often `key` was called, this time included."""
    row = books.execute(
        "insert into sandbox_gateway.call as known (idempotency_key, calls) values (%s, 1)"
        " on conflict (idempotency_key) do update set calls = known.calls + 1 returning calls",
        [key],
    ).fetchone()
    return int(row[0]) if row else 1


def read_page(
    books: Connection, after: int, limit: int, since: datetime | None = None
) -> list[tuple[int, LedgerEntry]]:
    """Return up to `limit` entries with their numbers, from `since` on and above the number `after`, oldest first."""
    rows = books.execute(
        "select id, idempotency_key, operation, reference, amount, currency, outcome, reason, created_at"
        " from sandbox_gateway.ledger where id > %s and created_at >= coalesce(%s::timestamptz, '-infinity')"
        " order by id limit %s",
        [after, since, limit],
    )
    names = ("idempotency_key", "operation", "reference", "amount", "currency", "outcome", "reason", "created_at")
    return [(row[0], LedgerEntry(**dict(zip(names, row[1:], strict=True)))) for row in rows]
