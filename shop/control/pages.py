"""The control room's pages: one look says whether the shop is well, and what is the matter if not."""

from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from shop.control.access import viewer_page
from shop.control.models import Sample
from shop.control.sampler import SAMPLE_SECONDS
from shop.control.topology import STATES, draw, list_names
from shop.control.verdict import find_states, judge

#: After this number of missed samples, pages show the figures as outdated.
MISSED = 3


def read_newest() -> tuple[Sample | None, float]:
    """Return the newest complete sample and its age in seconds."""
    sample = Sample.objects.exclude(figures=None).order_by("-period").first()
    if sample is None:
        return None, 0.0
    with connection.cursor() as cursor:
        cursor.execute("select extract(epoch from clock_timestamp() - %s)::float8", [sample.at])
        return sample, cursor.fetchone()[0]


def describe(sample: Sample, age: float) -> dict[str, Any]:
    """Return a sample with its verdict, as JSON-like data."""
    assert sample.figures is not None
    findings = judge(sample.figures, sample.at)
    return {
        "at": sample.at.isoformat(timespec="milliseconds"),
        "age_seconds": round(age, 1),
        "outdated": age > MISSED * SAMPLE_SECONDS,
        "well": not findings,
        "findings": [finding._asdict() for finding in findings],
        "states": find_states(findings),
        "drain_seconds": {
            name: prediction["seconds"] for name, prediction in sample.figures.get("predictions", {}).items()
        },
        **sample.figures,
    }


@viewer_page
def show_overview(request: HttpRequest) -> HttpResponse:
    """Show the topology, what waits and what is wrong."""
    sample, age = read_newest()
    now = describe(sample, age) if sample else None
    context = {"now": now, "drawing": draw(now), "rows": list_consumers(now)} if now else {"now": None}
    return render(request, "control/overview.html", context)


def list_consumers(now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the table of consumers."""
    return [
        {"name": name, "state": STATES[now["states"].get(name, "up")][0], **consumer}
        | now["rates"]["consumers"].get(name, {})
        for name, consumer in ((name, (now["consumers"] or {}).get(name)) for name in list_names())
        if consumer
    ]


@viewer_page
def answer_now(request: HttpRequest) -> HttpResponse:
    """Return the newest sample as JSON; 503 before the first one."""
    sample, age = read_newest()
    if sample is None:
        return JsonResponse({"detail": "There is no sample yet: is the part live running?"}, status=503)
    return JsonResponse(describe(sample, age))
