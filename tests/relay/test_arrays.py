"""What is written as an array is what PostgreSQL reads."""

import pytest
from django.db import connection

from relay.arrays import to_array

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "values",
    [[], [""], ["a", 'b"c', "d\\e", "{f},g", "NULL", " ", "\n\x1f", "Ω🙂", "'; --", "%s"], ['\\"', "\\\\", '""']],
)
def test_any_text_comes_back_from_an_array_as_it_was(values: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select %s::text[]", [to_array(values)])
        assert cursor.fetchone()[0] == values
