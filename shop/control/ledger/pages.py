"""The ledger's page: what was committed, what each part has of it, each difference, and the full verification."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from relay.operations import Refused
from shop.control.access import staff_action, viewer_page
from shop.control.ledger.checks import accept
from shop.control.ledger.models import LedgerCheck, LedgerDifference, LedgerWindow, Verification
from shop.control.ledger.summary import ADVICE
from shop.control.pages import describe, read_newest

CHANGE = "relay.change_outbox"
#: Rows of one page of windows or of differences, and reports of verifications on the page.
PAGE_ROWS, REPORTS = 25, 5
#: Differences of a report that the page lists.
SHOWN = 20


@viewer_page
def show_ledger(request: HttpRequest) -> HttpResponse:
    """Show the totals, the differences, the windows, and the last full verifications."""
    sample, age = read_newest()
    now = describe(sample, age) if sample else None
    ledger = now.get("ledger") if now else None
    names = list((ledger or {}).get("parts", {}))
    windows = _paginate(request, "windows", LedgerWindow.objects.prefetch_related("checks"))
    context = {
        "now": now,
        "ledger": ledger,
        "parts": [ledger["parts"][name] | {"name": name} for name in sort_parts(names)] if ledger else [],
        "findings": [one for one in now["findings"] if one["part"] == "ledger"] if now else [],
        "differences": _list_differences(request),
        "healed": LedgerDifference.objects.exclude(closed_at=None).order_by("-closed_at")[:PAGE_ROWS],
        "names": (columns := sort_parts({check.part for window in windows for check in window.checks.all()})),
        "windows": windows,
        "rows": [describe_window(window, columns) for window in windows],
        "verifications": [_describe_run(run) for run in Verification.objects.all()[:REPORTS]],
        "chosen": _find_chosen(request.GET.get("accept", "")),
        "may_act": request.user.has_perm(CHANGE),
    }
    return render(request, "control/ledger.html", context)


def sort_parts(names: Any) -> list[str]:
    """Return the names with the log first."""
    return sorted(names, key=lambda name: (name != LedgerCheck.LOG, name))


def describe_window(window: LedgerWindow, names: list[str]) -> dict[str, Any]:
    """Return a window with the state of each part: a word, a symbol, and the numbers."""
    checks = {check.part: check for check in window.checks.all()}
    return {"window": window, "cells": [_describe_check(checks.get(name)) for name in names]}


def _describe_check(check: LedgerCheck | None) -> dict[str, Any]:
    if check is None:
        return {"state": "none", "text": "no events"}
    done = check.found + check.skipped
    if check.lost or check.doubled:
        words = [f"{check.lost} lost"] * bool(check.lost) + [f"{check.doubled} doubled"] * bool(check.doubled)
        return {"state": "down", "text": f"■ {done:,} of {check.rows:,}, {', '.join(words)}"}
    if check.closed_at:
        skipped = f", {check.skipped} skipped" if check.skipped else ""
        return {"state": "up", "text": f"● {check.rows:,}{skipped}"}
    parked = f", {check.parked:,} parked" if check.parked else ""
    return {"state": "late", "text": f"▲ {done:,} of {check.rows:,}{parked}"}


def _list_differences(request: HttpRequest) -> dict[str, Any]:
    """Return a page of the open differences, grouped by window and part."""
    listed = (
        LedgerDifference.objects.filter(closed_at=None).select_related("window").order_by("-window_id", "part", "pk")
    )
    page = _paginate(request, "differences", listed)
    groups: dict[tuple[int, str], list[LedgerDifference]] = {}
    for difference in page:
        groups.setdefault((difference.window_id, difference.part), []).append(difference)
    checks = {
        (check.window_id, check.part): check.lost + check.doubled
        for check in LedgerCheck.objects.filter(window__in={window for window, _ in groups}, closed_at=None)
    }
    return {
        "page": page,
        "groups": [
            {
                "window": rows[0].window,
                "part": part,
                "rows": rows,
                "count": checks.get((window, part), len(rows)),
                "advice": ADVICE[rows[0].kind][2],
            }
            for (window, part), rows in groups.items()
        ],
    }


def _find_chosen(text: str) -> dict[str, Any] | None:
    """Return the window and the part, written as WINDOW-PART, whose differences a person wants to accept."""
    number, _, part = text.partition("-")
    if not number.isdigit() or len(number) > 18:
        return None
    check = LedgerCheck.objects.filter(window=int(number), part=part, closed_at=None).select_related("window").first()
    if check is None or not check.lost + check.doubled:
        return None
    return {"window": check.window, "part": part, "count": check.lost + check.doubled}


def _paginate(request: HttpRequest, name: str, rows: Any) -> Page[Any]:
    return Paginator(rows, PAGE_ROWS).get_page(request.GET.get(name))


def _describe_run(run: Verification) -> dict[str, Any]:
    report = run.report or {}
    seconds = (run.ended_at - run.begun_at).total_seconds() if run.ended_at and run.begun_at else None
    found = report.get("found", 0)
    return {
        "run": run,
        "ok": report.get("ok"),
        "found": found,
        "seconds": seconds,
        "differences": report.get("differences", [])[:SHOWN],
        "more": max(0, found - SHOWN),
        "counts": {name.replace("_", " "): count for name, count in (report.get("counts") or {}).items()},
        "in_flight": {name.replace("_", " "): count for name, count in (report.get("in_flight") or {}).items()},
    }


@staff_action(CHANGE)
def request_verification(request: HttpRequest) -> HttpResponse:
    """Request a full verification. A live process runs it; the page shows its progress."""
    from shop.control.ledger.verification import request as request_run

    try:
        request_run(by=request.user.get_username(), reason=request.POST.get("reason", ""))
        messages.success(request, "A full verification is requested. Its progress appears below.")
    except Refused as refusal:
        messages.error(request, f"No verification was requested: {refusal}.")
    return HttpResponseRedirect(f"{reverse('control:ledger')}#verification")


@staff_action(CHANGE)
def accept_differences(request: HttpRequest, window: int, part: str) -> HttpResponse:
    """Accept all differences of a window and part, which a person has looked into."""
    chosen = get_object_or_404(LedgerWindow, pk=window)
    try:
        count = accept(chosen, part, by=request.user.get_username(), reason=request.POST.get("reason", ""))
        messages.success(request, f"{count} differences are accepted and no longer reported.")
    except Refused as refusal:
        messages.error(request, f"Nothing was accepted: {refusal}.")
    return HttpResponseRedirect(f"{reverse('control:ledger')}#differences")
