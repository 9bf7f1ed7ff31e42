"""The pages of consumers: lag over time, capacity, the predicted drain with the score of former outages, and pauses."""

import time
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from relay.admin import name_user
from relay.operations import Refused
from relay.operations.pause import pause, resume
from shop.control.access import staff_action, viewer_page
from shop.control.models import Outage
from shop.control.outages.chart import draw_chart
from shop.control.outages.description import describe_chart, describe_prediction
from shop.control.outages.points import read_series
from shop.control.pages import describe, read_newest
from shop.control.prediction import find_capacity
from shop.control.topology import STATES, list_names

ACT = "relay.change_consumerstate"
#: Seconds of a chart by their name in the address.
SPANS = {"1h": 3600, "6h": 6 * 3600, "48h": 48 * 3600}
SPAN_NAMES = [("1h", "1 hour"), ("6h", "6 hours"), ("48h", "48 hours")]
MOST_OUTAGES = 20
#: Rows of the table below the chart: each row is one of several points.
MOST_ROWS = 30


class PauseForm(forms.Form):
    """The reason of a pause and its length. An empty length means: until a person resumes the consumer."""

    reason = forms.CharField(max_length=200, strip=True)
    minutes = forms.FloatField(required=False, min_value=0.1, max_value=7 * 24 * 60)


@viewer_page
def list_consumers(request: HttpRequest) -> HttpResponse:
    """Show all consumers with their predictions and the score of the newest outages."""
    sample, age = read_newest()
    now = describe(sample, age) if sample else None
    names = list_names() if now and now["consumers"] else []
    rows = [describe_consumer(now, name) for name in names] if now else []
    newest = Outage.objects.exclude(ended_at=None).order_by("-began_at")[:MOST_OUTAGES]
    return render(request, "control/consumers.html", {"now": now, "rows": rows, "outages": newest})


@viewer_page
def show_consumer(request: HttpRequest, name: str) -> HttpResponse:
    """Show one consumer."""
    demand_name(name)
    span = request.GET.get("span", "1h")
    span = span if span in SPANS else "1h"
    sample, age = read_newest()
    now = describe(sample, age) if sample else None
    context: dict[str, Any] = {"now": now, "name": name, "span": span, "spans": SPAN_NAMES}
    if now and now["consumers"]:
        end = find_end()
        series = read_series(name, end=end, seconds=SPANS[span])
        outages = list(Outage.objects.filter(consumer=name).order_by("-began_at")[:MOST_OUTAGES])
        every = -(-len(series) // MOST_ROWS) or 1
        context |= {
            "row": describe_consumer(now, name),
            "chart": draw_chart(series, outages, end=end, seconds=SPANS[span]),
            "description": describe_chart(now, name, series),
            "series": series[::-1][::every],
            "outages": outages,
            "may_act": request.user.has_perm(ACT),
        }
    return render(request, "control/consumer.html", context)


def find_end() -> int:
    """Return the end of the charts: now, in seconds."""
    return int(time.time()) + 1


def describe_consumer(now: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the figures of a consumer for templates."""
    state = now["states"].get(name, "up")
    return {
        **now["consumers"][name],
        **now["rates"]["consumers"].get(name, {}),
        "name": name,
        "state": state,
        "word": STATES[state][0],
        "symbol": STATES[state][1],
        "waiting": now["consumers"][name]["lag"] - now["consumers"][name]["parked_events"],
        "capacity": find_capacity(now, name),
        "prediction": describe_prediction(now, name),
        "per_minute": round(60 * (now["rates"]["consumers"].get(name, {}).get("steady") or 0)),
    }


@staff_action(ACT)
def pause_consumer(request: HttpRequest, name: str) -> HttpResponse:
    """Pause a consumer for the given reason."""
    demand_name(name)
    form = PauseForm(request.POST)
    if not form.is_valid():
        for field, errors in form.errors.items():
            why = " ".join(map(str, errors))
            messages.error(request, f"{field.capitalize()} “{request.POST.get(field, '')}”: {why}")
        return redirect("control:consumer", name)
    try:
        minutes = form.cleaned_data["minutes"]
        pause(name, actor=name_user(request), reason=form.cleaned_data["reason"], minutes=minutes)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        until = f"for {minutes:g} minutes" if minutes else "until a person resumes it"
        messages.success(request, f"{name} is paused {until}. Its events wait; no event is lost.")
    return redirect("control:consumer", name)


@staff_action(ACT)
def resume_consumer(request: HttpRequest, name: str) -> HttpResponse:
    """End the pause of a consumer."""
    demand_name(name)
    switch = resume(name, actor=name_user(request), reason=request.POST.get("reason", "").strip())
    messages.success(request, f"{name} is resumed." if switch.changed else f"{name} was not paused.")
    return redirect("control:consumer", name)


def demand_name(name: str) -> None:
    """Refuse unknown consumers.

    :raises Http404: no consumer has this name; the message lists the names.
    """
    if name not in list_names():
        raise Http404(f"No consumer is named {name}. Consumers: {', '.join(list_names())}.")
