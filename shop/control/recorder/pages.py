"""The pages of the recorder: the search for an order, and the record of one order."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from orders.models import Order
from shop.control.access import staff_page
from shop.control.payloads import SEE_PAYLOADS, list_fields
from shop.control.recorder.effects import name_event
from shop.control.recorder.facts import Facts, brief_statements, read_body, read_facts
from shop.control.recorder.lanes import draw
from shop.control.recorder.record import find_refresh_seconds, make_record, tabulate
from shop.control.recorder.search import SEE_PAYMENTS, BadSearch, describe_miss, find_orders, list_newest
from shop.web.order_access import VIEW_ORDER


@staff_page(VIEW_ORDER)
def search_orders(request: HttpRequest) -> HttpResponse:
    """Show the search and the newest orders. A search with one result leads to its record."""
    text = request.GET.get("q", "").strip()
    return answer_search(request, text) if text else show_search(request, orders=list_newest())


def answer_search(request: HttpRequest, text: str) -> HttpResponse:
    """Redirect to the only order that `text` names, or show the results or the reason why there are none."""
    try:
        with brief_statements():
            found = find_orders(text, with_references=request.user.has_perm(SEE_PAYMENTS))
    except BadSearch as problem:
        return show_search(request, text, str(problem), status=400)
    if not found:
        return show_search(request, text, describe_miss(request, text), status=404)
    if len(found) == 1:
        return redirect("control:order", found[0].number)
    return show_search(request, text, orders=found)


def show_search(
    request: HttpRequest, text: str = "", problem: str = "", *, orders: list[Order] | None = None, status: int = 200
) -> HttpResponse:
    """Show the form with `text`, the `problem` of the last search, and `orders`."""
    context = {"text": text, "problem": problem, "orders": orders}
    return render(request, "control/recorder/search.html", context, status=status)


@staff_page(VIEW_ORDER)
def show_order(request: HttpRequest, number: str) -> HttpResponse:
    """Show the record of the order with this number. An id or a payment reference leads to the number's page."""
    order = Order.objects.filter(number=number).first() if number.isascii() and number.isprintable() else None
    if order is None:
        return answer_search(request, number)
    facts = read_facts(order)
    record = make_record(request, facts)
    context: dict[str, Any] = {
        "order": order,
        "now": {"at": facts.read_at.isoformat()},
        "facts": facts,
        "record": record,
        "rows": tabulate(record),
        "drawing": draw(record),
        "refresh_seconds": find_refresh_seconds(order, record),
        "repeats": sum(cursor.repeats for cursor in facts.cursors.values()),
        "stopped": [moment for moment in record.open if moment.state == "stopped"],
        "events": [{"number": nth, "name": name_event(row), "row": row} for nth, row in enumerate(facts.events, 1)],
        "payload": open_payload(request, facts),
    }
    return render(request, "control/recorder/order.html", context)


def open_payload(request: HttpRequest, facts: Facts) -> dict[str, Any] | None:
    """Return the fields of the event with the number ``?payload=``, or None if the number has no event."""
    chosen = request.GET.get("payload", "")
    if not chosen.isdecimal() or not 1 <= int(chosen[:9]) <= len(facts.events):
        return None
    event, whole = facts.events[int(chosen) - 1], request.user.has_perm(SEE_PAYLOADS)
    fields = list_fields(read_body(event), whole=whole)
    return {"number": int(chosen), "name": name_event(event), "fields": fields, "whole": whole}
