"""Arrays as PostgreSQL reads them: psycopg writes lists item by item in Python, most of what a big batch costs it."""

from collections.abc import Iterable


def to_array(values: Iterable[object]) -> str:
    """Return the values as the text of an array, to be cast: ``%s::text[]``. They must not be None."""
    escaped = [str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(escaped) + '"}' if escaped else "{}"
