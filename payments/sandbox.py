"""A gateway for this machine: scripted by the payment token, with books of its own that only it writes.

It shares the database server with the shop but never its connection, so that its bookings commit by themselves, as a
real gateway's do: whether the shop then records them or crashes.
"""

import secrets
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import connections
from psycopg.rows import class_row, dict_row

from payments.gateway import GatewayAnswer, GatewayUnavailable, LedgerEntry, Outcome

Connection = psycopg.Connection[Any]
Address = tuple[Any, ...]
SLOW_SECONDS = 3.0
#: What each token does when it is authorized: None is approved, else the reason it is declined with.
TOKENS = {"tok_ok": None, "tok_slow": None, "tok_declined": "card declined"}


# Nobody waits for the disk: the shop's record of an answer stands later in the same write-ahead log, so that a crash
# can't keep the record and lose the booking.
_OPTIONS = "-c statement_timeout=4s -c synchronous_commit=off"
#: A connection for each call would cost more than the call.
_idle: deque[tuple[Address, Connection]] = deque()


class KeyReused(Exception):
    """The idempotency key was used before for another operation, reference or amount."""


class SandboxGateway:
    """Answers by token: tok_ok, tok_declined, and tok_slow, which is approved after three seconds."""

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount`, unless the token is to be declined.

        :raises GatewayUnavailable: the books can't be reached.
        :raises KeyReused: the key stands for something else.
        """
        if token == "tok_slow" and self.lookup(key) is None:
            time.sleep(SLOW_SECONDS)
        reason = TOKENS.get(token, "no such token")
        reference = "" if reason else f"auth_{secrets.token_hex(12)}"
        with open_books() as books:
            return book(books, key, "authorize", reference, amount, currency, reason)

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Take what is held: once, and never more than that.

        :raises GatewayUnavailable: the books can't be reached.
        :raises KeyReused: the key stands for something else.
        """
        with open_books() as books, books.transaction():
            held = lock_authorization(books, reference)
            reason = find_obstacle(books, reference) if held else "no such authorization"
            if held and not reason and amount > held.amount:
                reason = f"only {held.amount} is authorized"
            return book(books, key, "capture", reference, amount, held.currency if held else "", reason)

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Give back what is held, unless it was captured or given back before.

        :raises GatewayUnavailable: the books can't be reached.
        :raises KeyReused: the key stands for something else.
        """
        with open_books() as books, books.transaction():
            held = lock_authorization(books, reference)
            reason = find_obstacle(books, reference) if held else "no such authorization"
            amount, currency = (held.amount, held.currency) if held else (0, "")
            return book(books, key, "void", reference, amount, currency, reason)

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Give back what was captured, in parts or at once, never more than that.

        :raises GatewayUnavailable: the books can't be reached.
        :raises KeyReused: the key stands for something else.
        """
        with open_books() as books, books.transaction():
            held = lock_authorization(books, reference)
            known = find_answer(books, key)
            left = find_refundable(books, reference)
            reason = None if known or amount <= left else f"only {left} is left to refund"
            return book(books, key, "refund", reference, amount, held.currency if held else "", reason)

    def lookup(self, key: str) -> GatewayAnswer | None:
        """Return the answer that was given under `key`, None when there was none.

        :raises GatewayUnavailable: the books can't be reached.
        """
        with open_books() as books:
            return find_answer(books, key)

    def read_ledger(self) -> Iterator[LedgerEntry]:
        """Yield every entry, oldest first.

        :raises GatewayUnavailable: the books can't be reached.
        """
        with (
            open_books() as books,
            books.transaction(),
            books.cursor("ledger", row_factory=class_row(LedgerEntry)) as cursor,
        ):
            yield from cursor.execute(
                "select idempotency_key, operation, reference, amount, currency, outcome, reason, created_at"
                " from sandbox_gateway.ledger order by id"
            )


@contextmanager
def open_books() -> Iterator[Connection]:
    """Lend a connection that is the gateway's own, where each statement commits by itself.

    :raises GatewayUnavailable: PostgreSQL is away.
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
    except psycopg.OperationalError as error:
        close_idle_books()  # the server may have gone: none of them is to be believed
        raise GatewayUnavailable(str(error).strip()) from error


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


def find_answer(books: Connection, key: str) -> GatewayAnswer | None:
    """Return what was answered under `key`."""
    with books.cursor(row_factory=class_row(GatewayAnswer)) as cursor:
        return cursor.execute(
            "select outcome, reference, amount, currency, reason from sandbox_gateway.ledger"
            " where idempotency_key = %s",
            [key],
        ).fetchone()


def lock_authorization(books: Connection, reference: str) -> GatewayAnswer | None:
    """Return what is held under `reference`; until the commit nobody else captures or voids it."""
    with books.cursor(row_factory=class_row(GatewayAnswer)) as cursor:
        return cursor.execute(
            "select outcome, reference, amount, currency, reason from sandbox_gateway.ledger"
            " where reference = %s and operation = 'authorize' and outcome = 'approved' for update",
            [reference],
        ).fetchone()


def find_obstacle(books: Connection, reference: str) -> str | None:
    """Say why an authorization can be neither captured nor voided any more; None when it can."""
    ended = books.execute(
        "select operation from sandbox_gateway.ledger"
        " where reference = %s and operation in ('capture', 'void') and outcome = 'approved'",
        [reference],
    ).fetchone()
    return None if ended is None else f"already {'captured' if ended[0] == 'capture' else 'voided'}"


def find_refundable(books: Connection, reference: str) -> int:
    """Return what was captured under `reference` and not yet given back, in minor units."""
    row = books.execute(
        "select coalesce(sum(case operation when 'capture' then amount when 'refund' then -amount else 0 end), 0)"
        " from sandbox_gateway.ledger where reference = %s and outcome = 'approved'",
        [reference],
    ).fetchone()
    return int(row[0]) if row else 0


def book(
    books: Connection, key: str, operation: str, reference: str, amount: int, currency: str, reason: str | None
) -> GatewayAnswer:
    """Book an answer, or return the one that this key was given before.

    :raises KeyReused: the key stands for another operation, reference or amount.
    """
    outcome: Outcome = "declined" if reason else "approved"
    with books.cursor(row_factory=dict_row) as cursor:
        known = cursor.execute(
            "insert into sandbox_gateway.ledger"
            " (idempotency_key, operation, reference, amount, currency, outcome, reason)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict (idempotency_key) do nothing"
            " returning operation, outcome, reference, amount, currency, reason",
            [key, operation, reference, amount, currency, outcome, reason or ""],
        ).fetchone()
        if known is None:
            known = cursor.execute(
                "select operation, outcome, reference, amount, currency, reason from sandbox_gateway.ledger"
                " where idempotency_key = %s",
                [key],
            ).fetchone()
    assert known is not None
    booked = known.pop("operation")
    if (
        booked != operation
        or known["amount"] != amount
        or (operation != "authorize" and known["reference"] != reference)
    ):
        raise KeyReused(f"{key!r} was used for {booked} of {known['amount']}, now for {operation} of {amount}")
    return GatewayAnswer(**known)
