"""Figures as words: what a customer sees now, and the counters of each shop."""

from typing import Any

from shop.lab.figures import SHOPS, Sums
from shop.lab.seed.shop import APOLOGY, SOLD_OUT, THANKS

#: A space at which no line breaks.
_SPACE = "\N{NO-BREAK SPACE}"
#: The text that a customer of each shop reads, by the outcome.
_SEED = {"ok": THANKS, "failed": APOLOGY, "sold out": SOLD_OUT, "gave up": "(still loading: the customer has left)"}
_QUEUE = {**_SEED, "ok": "We have your order and will process it soon"}
_OURS = {
    "ok": "Thank you, we have your order. Its page follows each step",
    "failed": "The shop is not available. Please try again in a moment",
    "gave up": "(still loading: the customer has left)",
}
_LATER = {
    "placed": "its page says: we are checking the stock and the payment",
    "confirmed": "its page says: your order is confirmed",
    "cancelled": "its page says: your order is cancelled",
}


def tell_customer(shop: str, answer: dict[str, Any] | None, factor: int) -> dict[str, str] | None:
    """Return the text that the newest customer has read, after how long, and what the order's page says."""
    if answer is None:
        return None
    texts = {"ours": _OURS, "queue": _QUEUE}.get(shop, _SEED)
    seconds = answer["seconds"] * (1 if shop == "ours" else factor)
    return {
        "text": texts.get(answer["outcome"], answer["outcome"]),
        "after": format_wait(seconds),
        "later": _LATER.get(answer["status"] or "", "") if shop == "ours" else "",
        "state": "up" if answer["outcome"] in ("ok", "sold out") else "down",
    }


def format_wait(seconds: float | None) -> str:
    """Return a wait, for example 8 ms or 6.0 s."""
    if seconds is None:
        return "no answer yet"
    return f"{seconds * 1000:.0f}{_SPACE}ms" if seconds < 0.95 else f"{seconds:.1f}{_SPACE}s"


def format_money(minor: int) -> str:
    """Return minor units as euros."""
    return f"{minor / 100:,.0f}{_SPACE}€"


def list_counters(shop: str, sums: Sums, factor: int) -> list[tuple[str, str, bool]]:
    """Return the counters of a shop as (name, value, whether the value is bad)."""
    speed = 1 if shop == "ours" else factor
    lost = f"{sums.failed:,}" + (f" ({format_money(sums.lost_money)})" if sums.failed else "")
    found = [
        ("Orders asked", f"{sums.asked:,}", False),
        ("Answered well", f"{sums.ok:,}", False),
        ("Lost sales", lost, sums.failed > 0),
        ("Half of the customers wait", format_wait(None if sums.p50 is None else sums.p50 * speed), False),
        ("95 % wait at most", format_wait(None if sums.p95 is None else sums.p95 * speed), (sums.p95 or 0) * speed > 1),
    ]
    if shop == "ours":
        missing = sums.ok - sums.more["sales_known"]
        found += [
            ("Confirmed, cancelled", f"{sums.more['confirmed']:,}, {sums.more['cancelled']:,}", False),
            ("Not decided yet", f"{sums.more['undecided']:,}", False),
            ("Analytics: lost for ever", "0", False),
            ("Analytics: on the way", f"{missing:,}", False),
        ]
    elif shop == "seed":
        missing = sums.asked - sums.more["sales_known"]
        waiting = sums.asked - sums.answered
        found += [
            ("Known at the answer: stock and payment", f"{sums.ok:,}", False),
            (
                "Charged without an order",
                f"{sums.more['charged_without_order']:,}",
                sums.more["charged_without_order"] > 0,
            ),
            ("Analytics: lost for ever", f"{max(0, missing - waiting):,}", missing > waiting),
            ("Customers who wait", f"{waiting:,}", False),
        ]
    else:
        found.append(("Orders in the queue", f"{sums.more['unfinished']:,}", False))
    return found


def name_shop(shop: str) -> str:
    """Return the heading of a shop's column."""
    return SHOPS[shop]
