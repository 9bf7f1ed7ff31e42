"""The sales pages: an overview with charts, a page per panel with the rows behind it, and CSV files."""

import csv
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from analytics.completeness import Completeness
from analytics.flink.state import NEVER, describe_job
from analytics.panels.catalogue import PANELS, Panel
from analytics.panels.completion import read_complete
from analytics.panels.facts import FACTS, LAST_PAGE, read_facts
from analytics.panels.pace import read_visitors
from analytics.panels.period import DEFAULT, SPANS, Period, choose_period
from analytics.panels.reading import Row, remember
from shop.control.access import LOOK, staff_page
from shop.control.pages import describe, read_newest
from shop.control.sales import drawings
from shop.control.sales.cells import WORDS, format_short, make_fact_table, make_short_table, make_table, show_clock

LOOK_AT_SALES = "analytics.view_orderfact"
#: Analytics is catching up if it is behind by more than this.
BEHIND = timedelta(seconds=15)
#: Seconds that the drawn page is kept for all viewers.
ROOM_KEPT = 4
#: The panels below the charts, in this order; the page draws the others itself.
TABLES = ("durations", "declines", "cancellations", "abandoned", "refunds", "buyers", "products", "rising", "stockouts")
EMPTY = {
    "stockouts": "No product was sold out in this time.",
    "declines": "No payment was declined in this time.",
    "cancellations": "No order of this time was cancelled.",
    "abandoned": "No cart was abandoned in this time.",
    "rising": "No product sold more than in the period before, or the period before is not known.",
}


def find_period(request: HttpRequest) -> Period:
    """Return the period of `?span=`, by default the last day."""
    span = request.GET.get("span", DEFAULT)
    return choose_period(span if span in SPANS else DEFAULT, timezone.now())


@staff_page(LOOK_AT_SALES)
def show_sales(request: HttpRequest) -> HttpResponse:
    """Show all panels."""
    period = find_period(request)
    key = ("room", period.span, request.user.has_perm(LOOK))
    room, at = remember(key, ROOM_KEPT, lambda: (draw_room(request, period), timezone.now()))
    spans = [(name, words) for name, (words, *_) in SPANS.items()]
    context = {"room": room, "span": period.span, "spans": spans, "now": {"at": at.isoformat()}}
    return render(request, "control/sales/sales.html", context)


def draw_room(request: HttpRequest, period: Period) -> SafeString:
    """Return the refreshed part of the page. Only the permission LOOK of the viewer changes it."""
    complete = read_complete()
    rows = {name: panel.read_rows(period, complete) for name, panel in PANELS.items()}
    context = {
        **describe_period(period, complete),
        "panels": PANELS,
        "is_empty": not any(row["value"] for row in rows["headline"]),
        "figures": list_figures(rows["headline"]),
        "visitors": read_visitors(complete.until),
        "pace": drawings.draw_pace(rows["pace"], period),
        "funnels": [(PANELS[name], rows[name]) for name in ("visits", "orders")],
        "tables": [list_table(PANELS[name], rows[name]) for name in TABLES],
        "cohorts": drawings.make_cohorts(rows["cohorts"]),
        "anomalies": rows["anomalies"],
        "band": drawings.draw_anomalies(period, complete),
        "arrivals": drawings.draw_arrivals(rows["arrivals"], period),
        "later": sum(row["later"] for row in rows["arrivals"]),
        "perms": {"relay": {"view_outbox": request.user.has_perm(LOOK)}},
    }
    return render_to_string("control/sales/_room.html", context)


def describe_period(period: Period, complete: Completeness) -> dict[str, Any]:
    """Return what all sales pages show: the period, and how complete its figures are."""
    behind = timezone.now() - complete.until
    sample, age = read_newest()
    drain = describe(sample, age)["drain_seconds"].get("analytics") if sample else None
    flink = describe_job() if settings.ANALYTICS_PAGES == "flink" else None
    return {
        "period": period,
        "span": period.span,
        "spans": [(name, words) for name, (words, *_) in SPANS.items()],
        "complete": complete,
        "until": show_clock(complete.until) if complete.until != NEVER else None,
        "flink": flink,
        "is_behind": complete.is_waiting and behind > BEHIND,
        "behind_seconds": behind.total_seconds(),
        "ready_at": show_clock(timezone.now() + timedelta(seconds=drain))
        if drain is not None and flink is None
        else None,
        "zone": timezone.get_current_timezone_name(),
    }


def list_figures(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the headline figures as texts, with the change from the period before."""
    order = ("orders", "gross", "net", "average", "conversion", "sessions")
    figures = []
    for row in sorted(rows, key=lambda one: (order.index(one["figure"]), one["currency"])):
        value, before = row["value"], row["before"]
        change = value / before - 1 if value is not None and before else None
        figures.append(
            {
                "name": WORDS[row["figure"]],
                "value": format_short(row["figure"], value, row["currency"]),
                "before": format_short(row["figure"], before, row["currency"]),
                "change": None if change is None else f"{abs(change):.0%}",
                "direction": ""
                if change is None
                else "up"
                if change >= 0.005
                else "down"
                if change <= -0.005
                else "same",
            }
        )
    return figures


def list_table(panel: Panel, rows: list[Row]) -> dict[str, Any]:
    """Return a panel with its table."""
    empty = EMPTY.get(panel.name, "Nothing happened in this time.")
    return {"panel": panel, "table": make_short_table(panel, rows), "empty": empty}


def find_panel(name: str) -> Panel:
    """Return the panel `name`.

    :raises Http404: there is none.
    """
    if name not in PANELS:
        raise Http404(f"there is no panel {name}; there are {', '.join(PANELS)}")
    return PANELS[name]


@staff_page(LOOK_AT_SALES)
def show_panel(request: HttpRequest, panel: str) -> HttpResponse:
    """Show one panel: its definition, all its rows, and a page of the rows behind it."""
    chosen, period, complete = find_panel(panel), find_period(request), read_complete()
    page = request.GET.get("page", "1")
    number = min(LAST_PAGE, max(1, int(page))) if page.isascii() and page.isdecimal() and len(page) < 6 else 1
    rows, has_next = read_facts(chosen.facts, period, number)
    context = {
        **describe_period(period, complete),
        "panel": chosen,
        "table": make_table(chosen, chosen.read_rows(period, complete)),
        "facts": make_fact_table(rows),
        "facts_title": FACTS[chosen.facts][0],
        "page": number,
        "has_next": has_next,
        "now": {"at": timezone.now().isoformat()},
    }
    return render(request, "control/sales/panel.html", context)


@staff_page(LOOK_AT_SALES)
def export_panel(request: HttpRequest, panel: str) -> HttpResponse:
    """Answer with the panel's rows as CSV: amounts in minor units, times in UTC, unknown values empty."""
    chosen, period = find_panel(panel), find_period(request)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{panel}-{period.span}-{period.end:%Y%m%dT%H%MZ}.csv"'
    writer = csv.writer(response)
    writer.writerow(chosen.columns)
    for row in chosen.read_rows(period, read_complete()):
        values = [row[name] for name in chosen.columns]
        writer.writerow([value.isoformat() if isinstance(value, datetime) else value for value in values])
    return response
