"""The glance: the verdict of the newest sample, on the start page of the admin."""

from typing import Any

from django.http import HttpRequest

from shop.control.access import LOOK
from shop.control.pages import describe, read_newest
from shop.control.topology import STATES


def add_glance(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the verdict to the `context` of the admin's start page, if the user may see the control room."""
    if request.user.has_perm(LOOK):
        sample, age = read_newest()
        context["glance"] = summarize(describe(sample, age)) if sample else {"state": "unknown", "none": True}
    return context


def summarize(now: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a described sample with its word and symbol, what is wrong, and the few main figures."""
    state = "unknown" if now["outdated"] else "up" if now["well"] else now["findings"][0]["state"]
    return {
        "state": state,
        "word": STATES[state][0],
        "symbol": STATES[state][1],
        "findings": now["findings"],
        "outdated": now["outdated"],
        "age_seconds": now["age_seconds"],
        "outbox": now["outbox"],
        "parked": None if now["consumers"] is None else sum(row["parked"] for row in now["consumers"].values()),
        "ledger": now.get("ledger"),
    }
