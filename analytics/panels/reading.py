"""Reading rows, and keeping computed figures for some seconds, so that 20 viewers cost as much as one."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from analytics.generation import reading

T = TypeVar("T")
Row = dict[str, Any]

_kept: dict[tuple[Any, ...], tuple[float, Any]] = {}
_locks: dict[tuple[Any, ...], threading.Lock] = {}
_guard = threading.Lock()
#: Computed figures of a process at most; older ones are dropped.
MOST_KEPT = 500


def fetch(statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    """Return the rows of `statement` as dictionaries, from the current generation."""
    with reading() as cursor:
        cursor.execute(statement, values or {})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def add_up(rows: Iterable[Row], name: str) -> int:
    """Return the sum of the column `name`. Only counts may be added over currencies."""
    return sum(row[name] for row in rows)


def remember(key: tuple[Any, ...], seconds: float, compute: Callable[[], T]) -> T:
    """Return the value of `compute` from the last `seconds`. Only one thread computes; the others wait for it."""
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        known = _kept.get(key)
        if known and time.monotonic() - known[0] < seconds:
            value: T = known[1]
            return value
        value = compute()
        _kept[key] = (time.monotonic(), value)
    with _guard:
        if len(_kept) > MOST_KEPT:
            for old in sorted(_kept, key=lambda one: _kept[one][0])[: MOST_KEPT // 2]:
                _kept.pop(old, None)
                _locks.pop(old, None)
    return value


def forget() -> None:
    """Drop all kept figures."""
    _kept.clear()
