"""Arrays as PostgreSQL reads them: psycopg writes lists item by item in Python, most of what a big batch costs it."""

from collections.abc import Iterable

import msgspec


def to_array(values: Iterable[object]) -> str:
    """Return the values as the text of an array, to be cast: ``%s::text[]``. All must be of one type, none None."""
    items = list(values)
    if items and not isinstance(items[0], str):  # as numbers, UUIDs and times are written, nothing is to be escaped
        return f"{{{msgspec.json.encode(items)[1:-1].decode()}}}"
    texts = list(map(str, items))
    joined = '","'.join(texts)
    if joined.count('"') > 2 * (len(texts) - 1) or "\\" in joined:  # the escaping, not the joining, is what takes time
        joined = '","'.join([text.replace("\\", "\\\\").replace('"', '\\"') for text in texts])
    return f'{{"{joined}"}}' if texts else "{}"
