"""Pages of keys: which page follows, and the orders to which keys belong."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.urls import NoReverseMatch, reverse

from orders.models import Order
from relay.operations.parked import Parked, Selection, list_parked

ROWS = 50


class Row(NamedTuple):
    """A parked key with the address of its page, and its order number if it belongs to an order."""

    parked: Parked
    address: str
    number: str
    order: str


class Page(NamedTuple):
    """Parked keys, and the mark after which the next page begins, or ""."""

    rows: list[Row]
    next: str


def read_page(consumer: str, fingerprint: str, mark: str) -> Page:
    """Return the keys of a cause that follow `mark`, the longest parked first. A malformed mark is ignored."""
    selection = Selection(consumer=consumer, fingerprint=fingerprint)
    found = list_parked(selection, limit=ROWS + 1, after=read_mark(mark))
    shown = found[:ROWS]
    numbers = find_numbers(parked.key for parked in shown)
    rows = [Row(parked, find_address(parked), *describe_order(numbers.get(parked.key, ""))) for parked in shown]
    return Page(rows, f"{shown[-1].since.isoformat()}_{shown[-1].id}" if len(found) > ROWS else "")


def read_mark(mark: str) -> tuple[datetime, int] | None:
    """Return the time and the id of the last key of the previous page."""
    with suppress(ValueError):
        since, _, last = mark.rpartition("_")
        return datetime.fromisoformat(since), int(last)
    return None


def find_address(parked: Parked) -> str:
    """Return the address of the page of a parked key."""
    where = {"consumer": parked.consumer, "topic": parked.topic, "key": parked.key}
    return f"{reverse('control:parked-key')}?{urlencode(where)}"


def find_numbers(keys: Iterable[str]) -> dict[str, str]:
    """Return the order numbers of those keys that are ids of orders."""
    ids: dict[UUID, str] = {}
    for key in keys:
        with suppress(ValueError):
            ids[UUID(key)] = key
    return {ids[pk]: number for pk, number in Order.objects.filter(pk__in=ids).values_list("pk", "number")}


def describe_order(number: str) -> tuple[str, str]:
    """Return the order number and the address of the order's page in the control room, or "" if it has no page."""
    with suppress(NoReverseMatch):
        return number, reverse("control:order", args=[number]) if number else ""
    return number, ""
