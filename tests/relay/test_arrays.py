"""to_array() writes arrays that PostgreSQL reads back unchanged."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection

from relay.arrays import to_array

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "values",
    [[], [""], ["a", 'b"c', "d\\e", "{f},g", "NULL", " ", "\n\x1f", "Ω🙂", "'; --", "%s"], ['\\"', "\\\\", '""']],
)
def test_any_text_is_read_back_unchanged(values: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select %s::text[]", [to_array(values)])
        assert cursor.fetchone()[0] == values


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [0, -7, 2**63 - 1]),
        ("uuid", [UUID(int=0), UUID(int=2**128 - 1)]),
        ("timestamptz", [datetime(2026, 11, 28, 17, 40, 0, 123456, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)]),
    ],
)
def test_numbers_uuids_and_times_are_read_back_unchanged(kind: str, values: list[object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"select %s::{kind}[]", [to_array(values)])
        assert cursor.fetchone()[0] == values
