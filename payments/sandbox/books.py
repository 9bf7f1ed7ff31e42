"""The sandbox gateway's ledger, in its own database schema. Only the gateway writes to the schema.

Each statement is committed at once. As at a real gateway, an entry remains even if the shop crashes before it records
the answer.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
from django.db import connections
from psycopg.rows import class_row

from payments.gateways.protocol import ATTEMPT_MARK, GatewayAnswer, LedgerEntry
from payments.sandbox.scripts import find_capture_refusal, find_refusal, make_reference

Connection = psycopg.Connection[Any]
Address = tuple[Any, ...]

# Without a wait for the disk a commit is faster and still safe: the shop's record of the answer follows in the same
# write-ahead log, so a crash cannot keep the record and lose the entry.
_OPTIONS = "-c statement_timeout=4s -c synchronous_commit=off"
#: Idle connections for reuse. A new connection for each call would cost more than the call.
_idle: deque[tuple[Address, Connection]] = deque()

_ANSWER = "outcome, reference, amount, currency, reason"
_BOOK = f"""
insert into sandbox_gateway.ledger (idempotency_key, operation, reference, amount, currency, outcome, reason)
values (%s, %s, %s, %s, %s, %s, %s) on conflict (idempotency_key) do nothing returning {_ANSWER}
"""  # noqa: S608 - names of our own columns
# A unique index lets an authorization end only once, so this statement needs no lock. It returns no row if the key is
# known, the authorization has ended, or the authorization does not exist.
_END_HOLD = f"""
insert into sandbox_gateway.ledger (idempotency_key, operation, reference, amount, currency, outcome, reason)
select %(key)s, %(operation)s, reference, coalesce(%(amount)s, amount), currency,
       case when %(amount)s > amount then 'declined' else 'approved' end,
       case when %(amount)s > amount then 'only ' || amount || ' is authorized' else '' end
from sandbox_gateway.ledger where reference = %(reference)s and operation = 'authorize' and outcome = 'approved'
on conflict do nothing returning {_ANSWER}
"""  # noqa: S608
_FIND = f"select {_ANSWER} from sandbox_gateway.ledger where idempotency_key = %s"  # noqa: S608
_FIND_ATTEMPT = f"""
select {_ANSWER} from sandbox_gateway.ledger
where idempotency_key = %(key)s or (idempotency_key = any(%(earlier)s) and outcome = 'approved')
order by idempotency_key = %(key)s desc limit 1
"""  # noqa: S608


class KeyReused(Exception):
    """The idempotency key was used before for another operation, reference or amount."""


@contextmanager
def open_books() -> Iterator[Connection]:
    """Yield a connection of the gateway in autocommit mode, and keep it for reuse afterwards.

    :raises psycopg.OperationalError: PostgreSQL is not reachable.
    """
    parameters = connections["default"].get_connection_params()
    address = (parameters["dbname"], parameters.get("host"), parameters.get("port"))
    try:
        books = _take_idle(address) or psycopg.connect(
            # Planning the statement of a capture takes longer than running it.
            **{**parameters, "application_name": "sandbox gateway", "options": _OPTIONS, "prepare_threshold": 3},
            autocommit=True,
        )
        try:
            yield books
        except BaseException:
            books.close()
            raise
        _idle.append((address, books))
    except psycopg.OperationalError:
        close_idle_books()  # the server may have restarted, so the idle connections may be broken too
        raise


def _take_idle(address: Address) -> Connection | None:
    """Return the most recently used idle connection to `address`, or None."""
    with suppress(IndexError):
        while True:
            known_address, books = _idle.pop()
            if known_address == address and not books.closed:
                return books
            books.close()
    return None


def close_idle_books() -> None:
    """Close all idle connections."""
    with suppress(IndexError):
        while True:
            _idle.pop()[1].close()


def authorize(books: Connection, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
    """Store an approved or declined authorization of `amount` and return the answer. A known key gets its old answer.

    :raises KeyReused: the key belongs to another call.
    """
    refusal = find_refusal(token)
    reference = "" if refusal else make_reference(token)
    return _book(books, key, "authorize", reference, amount, currency, refusal)


def end_hold(books: Connection, key: str, operation: str, reference: str, amount: int | None) -> GatewayAnswer:
    """Store a capture of `amount`, or a void (`amount` None), approved or declined, and return the answer.

    :raises KeyReused: the key belongs to another call.
    """
    if operation == "capture" and (refusal := find_capture_refusal(reference)):
        return _book(books, key, operation, reference, amount, find_refundable(books, reference)[1], refusal)
    values = {"key": key, "operation": operation, "reference": reference, "amount": amount}
    if answer := _read(books, _END_HOLD, values):
        return answer
    if find_answer(books, key):
        return _read_again(books, key, operation, reference, amount)
    obstacle = find_obstacle(books, reference)
    return _book(books, key, operation, reference, amount, find_refundable(books, reference)[1], obstacle)


def refund(books: Connection, key: str, reference: str, amount: int) -> GatewayAnswer:
    """Store a refund of `amount`, declined if more than the remaining captured amount, and return the answer.

    :raises KeyReused: the key belongs to another call.
    """
    with books.transaction():
        # Without the lock, two concurrent refunds could both use the same remaining amount.
        books.execute(
            "select from sandbox_gateway.ledger where reference = %s and operation = 'authorize' for update",
            [reference],
        )
        left, currency = find_refundable(books, reference)
        refusal = f"only {left} is left to refund" if amount > left else None
        return _book(books, key, "refund", reference, amount, currency, refusal)


def dispute(books: Connection, key: str, reference: str, amount: int) -> GatewayAnswer:
    """Store the dispute of `amount` by a customer and return the entry. No money moves.

    :raises KeyReused: the key belongs to another call.
    """
    return _book(books, key, "dispute", reference, amount, find_refundable(books, reference)[1], None)


def find_attempt(books: Connection, key: str) -> GatewayAnswer | None:
    """Return the answer to the call with `key`, or the approval of an earlier key of the same operation, or None."""
    name, _, number = key.partition(ATTEMPT_MARK)
    earlier = [name, *(f"{name}{ATTEMPT_MARK}{attempt}" for attempt in range(2, int(number or "1")))]
    return _read(books, _FIND_ATTEMPT, {"key": key, "earlier": earlier})


def find_answer(books: Connection, key: str) -> GatewayAnswer | None:
    """Return the answer to the earlier call with `key`, or None."""
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
    """Return the answer to the earlier call with `key`.

    :raises KeyReused: that call had another operation, reference or amount.
    """
    booked = books.execute("select operation from sandbox_gateway.ledger where idempotency_key = %s", [key]).fetchone()
    answer = find_answer(books, key)
    assert booked and answer, "the entry of a conflicting key is missing, but entries are never deleted"
    same_reference = operation == "authorize" or answer.reference == reference
    if booked[0] != operation or answer.amount != (amount or answer.amount) or not same_reference:
        raise KeyReused(f"{key!r} was used for {booked[0]} of {answer.amount}, now for {operation} of {amount}")
    return answer


def find_obstacle(books: Connection, reference: str) -> str:
    """Return the reason why the authorization `reference` can be neither captured nor voided."""
    ended = books.execute(
        "select operation from sandbox_gateway.ledger"
        " where reference = %s and operation in ('capture', 'void') and outcome = 'approved'",
        [reference],
    ).fetchone()
    if ended is None:
        return "no such authorization"
    return f"already {'captured' if ended[0] == 'capture' else 'voided'}"


def find_refundable(books: Connection, reference: str) -> tuple[int, str]:
    """Return the captured and not refunded amount of `reference` in minor units, and its currency."""
    row = books.execute(
        "select coalesce(sum(case operation when 'capture' then amount when 'refund' then -amount end), 0)::bigint,"
        " coalesce(min(currency), '') from sandbox_gateway.ledger where reference = %s and outcome = 'approved'",
        [reference],
    ).fetchone()
    return row or (0, "")


def count_call(books: Connection, key: str) -> int:
    """Count a call with `key` and return the number of its calls, including this one."""
    row = books.execute(
        "insert into sandbox_gateway.call as known (idempotency_key, calls) values (%s, 1)"
        " on conflict (idempotency_key) do update set calls = known.calls + 1 returning calls",
        [key],
    ).fetchone()
    return int(row[0]) if row else 1


def read_page(
    books: Connection, after: int, limit: int, since: datetime | None = None
) -> list[tuple[int, LedgerEntry]]:
    """Return at most `limit` pairs (number, entry) with numbers above `after`, created from `since` on, in order.

    A refund or dispute whose key names no payment does not come from the shop: its key is its id.
    """
    rows = books.execute(
        "select id, idempotency_key, operation, reference, amount, currency, outcome, reason, created_at,"
        " case when operation in ('refund', 'dispute') and idempotency_key !~ '^[0-9a-f-]{36}:' then idempotency_key"
        " else '' end from sandbox_gateway.ledger"
        " where id > %s and created_at >= coalesce(%s::timestamptz, '-infinity') order by id limit %s",
        [after, since, limit],
    )
    names = (
        *("idempotency_key", "operation", "reference", "amount", "currency", "outcome", "reason", "created_at"),
        "external_id",
    )
    return [(row[0], LedgerEntry(**dict(zip(names, row[1:], strict=True)))) for row in rows]
