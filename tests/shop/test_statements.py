"""Prepared statements behave like statements of a Django cursor: same transaction, same errors."""

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction

from shop.catalogue.models import Category
from shop.statements import run_prepared

pytestmark = pytest.mark.django_db(transaction=True)
_INSERT = "insert into catalogue_category (slug, name) values (%(slug)s, %(name)s) returning id, name"


def test_texts_go_in_and_come_out() -> None:
    rows = run_prepared(
        "select %(number)s::int + 1, %(text)s, %(nothing)s::int, %(text)s || '!' union all select 1, 'b', 2, 'c'",
        {"number": "41", "text": "ä'%\"", "nothing": None},
    )
    assert rows == [("42", "ä'%\"", None, "ä'%\"!"), ("1", "b", "2", "c")]


def test_alone_it_is_its_own_transaction() -> None:
    run_prepared(_INSERT, {"slug": "a", "name": "A"})
    connection.close()
    assert Category.objects.get().name == "A"


def test_as_the_first_statement_of_a_transaction_it_is_undone_with_it() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        run_prepared(_INSERT, {"slug": "a", "name": "A"})
        raise RuntimeError
    assert not Category.objects.exists()
    with transaction.atomic():
        run_prepared(_INSERT, {"slug": "a", "name": "A"})
        Category.objects.create(slug="b", name="B")
    connection.close()
    assert Category.objects.count() == 2


def test_its_errors_are_djangos() -> None:
    run_prepared(_INSERT, {"slug": "a", "name": "A"})
    with pytest.raises(IntegrityError, match="duplicate key") as caught:
        run_prepared(_INSERT, {"slug": "a", "name": "A"})
    assert caught.value.__cause__.diag.table_name == "catalogue_category"  # type: ignore[union-attr]
    with pytest.raises(DataError):
        run_prepared("select %(number)s::int", {"number": "x"})
    with pytest.raises(DataError, match="NUL"):
        run_prepared("select %(text)s", {"text": "a\0b"})
    assert run_prepared("select %(number)s::int", {"number": "1"}) == [("1",)]


def test_after_an_error_in_a_transaction_nothing_more_is_run_in_it() -> None:
    with transaction.atomic(), pytest.raises(transaction.TransactionManagementError):
        with pytest.raises(DataError), transaction.atomic(durable=False, savepoint=False):
            run_prepared("select %(number)s::int", {"number": "x"})
        run_prepared("select 1", {})


def cut_connection() -> None:
    """Terminate the connection from another session, as a restart of PostgreSQL would."""
    server = connection.connection.info
    with psycopg.connect(server.dsn, password=server.password, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [server.backend_pid])


def test_a_connection_that_was_cut_while_it_was_idle_is_opened_again() -> None:
    assert run_prepared("select %(number)s::int", {"number": "1"}) == [("1",)]
    cut_connection()
    assert run_prepared("select %(number)s::int", {"number": "2"}) == [("2",)]


def test_a_connection_that_was_cut_within_a_transaction_is_not_opened_again() -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        run_prepared(_INSERT, {"slug": "a", "name": "A"})
        cut_connection()
        run_prepared(_INSERT, {"slug": "b", "name": "B"})
    connection.close()
    assert not Category.objects.exists()


def test_a_cut_connection_is_an_operational_error_and_the_next_one_prepares_again() -> None:
    assert run_prepared("select %(number)s::int", {"number": "1"}) == [("1",)]
    with pytest.raises(OperationalError):
        run_prepared("select pg_terminate_backend(pg_backend_pid())", {})
    connection.close_if_unusable_or_obsolete()
    assert run_prepared("select %(number)s::int", {"number": "1"}) == [("1",)]


def test_a_connection_on_which_psycopg_prepares_statements_is_refused() -> None:
    connection.ensure_connection()
    connection.connection.prepare_threshold = 5
    try:
        # After a rollback, psycopg would deallocate the statements of this module, too.
        with pytest.raises(RuntimeError, match="use a Django cursor"):
            run_prepared(_INSERT, {"slug": "a", "name": "A"})
    finally:
        connection.connection.prepare_threshold = None
