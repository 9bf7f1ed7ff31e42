"""Statements that PostgreSQL plans once for each connection: for the few that are run for every order."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from django.db import connection


def run_prepared(sql: LiteralString, values: Mapping[str, str | None]) -> list[tuple[Any, ...]]:
    """Run `sql` on Django's connection, in its transaction if one is open, and return the rows.

    The values are texts, to be cast in the statement (``%(total)s::bigint``): another type would be another plan.

    :raises DatabaseError: as a cursor of Django's does.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    # Django's None forbids what is asked for here; its own cursors never prepare, whatever stands there.
    connection.connection.prepare_threshold = 1
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(sql, values, prepare=True).fetchall()
