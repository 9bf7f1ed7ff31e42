"""The record of an order: all moments that a person may see, and the parts that the person may not see."""

from datetime import timedelta
from typing import Any, NamedTuple

from django.http import HttpRequest

from orders.models import Order
from shop.control.recorder.events import list_events, list_forgotten, list_repeats
from shop.control.recorder.facts import Facts
from shop.control.recorder.moments import Moment
from shop.control.recorder.work import list_letters, list_people, list_work

#: Seconds between two refreshes of the page, while something is expected at once, and while the order is not finished.
SOON_SECONDS, LATER_SECONDS = 2, 15


class Record(NamedTuple):
    """The moments in the order of their times, those that have not happened, and the permissions that hide others."""

    done: list[Moment]
    open: list[Moment]
    hidden: list[str]


def make_record(request: HttpRequest, facts: Facts) -> Record:
    """Return the record of an order for the user of `request`."""
    found = [*list_events(facts), *list_repeats(facts), *list_forgotten(facts)]
    found += [*list_work(facts), *list_letters(facts), *list_people(facts)]
    wanted = {moment.permission for moment in found if moment.permission}
    hidden = sorted(permission for permission in wanted if not request.user.has_perm(permission))
    seen = [moment for moment in found if moment.permission not in hidden]
    timed = [(moment.at, nth, moment) for nth, moment in enumerate(seen) if moment.at]
    untimed = [moment for moment in seen if moment.at is None and moment.state in ("done", "skipped")]
    waiting = [moment for moment in seen if moment.at is None and moment.state in ("waiting", "stopped")]
    return Record([*untimed, *(moment for *_, moment in sorted(timed, key=lambda row: row[:2]))], waiting, hidden)


def find_refresh_seconds(order: Order, record: Record) -> int:
    """Return the seconds until the page is read again; 0 if the order will not change any more."""
    if order.status == Order.Status.PLACED or any(moment.state == "waiting" for moment in record.open):
        return SOON_SECONDS
    is_finished = order.status in (Order.Status.DELIVERED, Order.Status.CANCELLED) and not record.open
    return 0 if is_finished else LATER_SECONDS


def tabulate(record: Record) -> list[dict[str, Any]]:
    """Return the rows of the table: each moment with its time since the first one."""
    first = next((moment.at for moment in record.done if moment.at), None)
    return [
        {"moment": moment, "after": describe_gap(moment.at - first) if moment.at and first else ""}
        for moment in [*record.done, *record.open]
    ]


def describe_gap(gap: timedelta) -> str:
    """Return a duration as text, for example +123 ms, +4.05 s or +2 d 3 h."""
    seconds = gap.total_seconds()
    if seconds < 1:
        return f"+{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"+{seconds:.2f} s"
    if seconds < 3600:
        return f"+{seconds // 60:.0f} min {seconds % 60:.0f} s"
    if seconds < 86400:
        return f"+{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"+{seconds // 86400:.0f} d {seconds % 86400 // 3600:.0f} h"
