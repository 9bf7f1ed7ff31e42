"""Arrays for PostgreSQL, as literals and in chunks.

psycopg adapts lists item by item in Python, which dominates the cost of a batch.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec

T = TypeVar("T")


def to_array(values: Iterable[object]) -> str:
    """Return `values` as the text of an array, to cast with ``%s::text[]``. All have one type, and none is None."""
    items = list(values)
    if items and not isinstance(items[0], str):  # the JSON of numbers, UUIDs and times needs no escaping
        return f"{{{msgspec.json.encode(items)[1:-1].decode()}}}"
    texts = list(map(str, items))
    joined = '","'.join(texts)
    if joined.count('"') > 2 * (len(texts) - 1) or "\\" in joined:  # escape only if needed, because it is slow
        joined = '","'.join([text.replace("\\", "\\\\").replace('"', '\\"') for text in texts])
    return f'{{"{joined}"}}' if texts else "{}"


def split_into_chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `values` as lists of `size` values; the last list may be shorter."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
