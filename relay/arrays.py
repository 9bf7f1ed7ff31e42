"""Arrays as PostgreSQL reads them: psycopg writes lists item by item in Python, most of what a big batch costs it."""

from collections.abc import Iterable


def to_array(values: Iterable[object]) -> str:
    """Return the values as the text of an array, to be cast: ``%s::text[]``. They must not be None."""
    texts = list(map(str, values))
    joined = '","'.join(texts)
    if joined.count('"') > 2 * (len(texts) - 1) or "\\" in joined:  # the escaping, not the joining, is what takes time
        joined = '","'.join([text.replace("\\", "\\\\").replace('"', '\\"') for text in texts])
    return f'{{"{joined}"}}' if texts else "{}"
