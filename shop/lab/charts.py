"""Curves as SVG: the points are computed here, and templates draw them. No script is needed."""

from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 480, 130, 46, 10, 22
#: The name of the waiting orders or customers in each shop.
WAITING = {"ours": "orders: their later steps", "seed": "customers", "queue": "orders in the queue"}
#: A chart has at most this many points: more seconds are joined.
MOST_POINTS = 240


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart: its name, its CSS class, and the points in the form that SVG reads."""

    name: str
    kind: str
    points: str
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its title, its highest value, the labels of both axes, its curves, and bands for outages."""

    title: str
    unit: str
    top: str
    ends_at: str
    curves: list[Curve]
    bands: list[tuple[float, float]]
    label: str


def find_length(seconds: dict[str, list[dict[str, Any]]]) -> int:
    """Return the number of real seconds that the charts of all shops of a run cover."""
    return max((rows[-1]["second"] + 1 for rows in seconds.values() if rows), default=0)


def draw_charts(seconds: list[dict[str, Any]], switches: list[Any], factor: int, length: int, shop: str) -> list[Chart]:
    """Return the three charts of a shop: answers per second, the wait of customers, and what waits.

    They cover the real seconds [0, length), so that the charts of two shops are comparable.
    The axis of time is in shop minutes. Waits of the synchronous shop are in its own, accelerated seconds.
    """
    if not seconds:
        return []
    speed = 1 if shop == "ours" else factor
    rows = {row["second"]: row for row in seconds}
    step = max(1, -(-length // MOST_POINTS))

    def read(name: str, scale: float = 1.0, *, is_kept: bool = False) -> list[float]:
        values, last = [], 0.0
        for first in range(0, length, step):
            found = [rows[n][name] for n in range(first, first + step) if n in rows and rows[n][name] is not None]
            last = (
                sum(found) / step * scale if found and not is_kept else found[-1] * scale if found else last * is_kept
            )
            values.append(last)
        return values

    wait = {"p50": "half of the customers", "p95": "95 % of the customers"}
    later = WAITING[shop]
    drawn = [
        ("Orders per second", "/s", [("asked", "asked", read("asked")), ("answered well", "ok", read("ok")),
                                     ("failed", "failed", read("failed"))]),
        ("The customer waits", "s", [(text, name, read(name, speed, is_kept=True)) for name, text in wait.items()]),
        ("What waits", "", [(later, "waiting", read("waiting", is_kept=True))]),
    ]  # fmt: skip
    bands = [(_place(s.starts, length), _place(min(s.ends, length), length)) for s in switches if s.starts < length]
    return [_draw(title, unit, curves, bands, length * factor) for title, unit, curves in drawn]


def _draw(title: str, unit: str, curves: Any, bands: list[tuple[float, float]], shop_seconds: float) -> Chart:
    top = max([value for _, _, values in curves for value in values] + [1.0 if unit != "s" else 0.1])
    lines = [Curve(name, kind, _join(values, top), _format(values[-1], unit)) for name, kind, values in curves]
    label = f"{title}: " + ", ".join(f"{line.name} now {line.last}" for line in lines)
    minutes, rest = divmod(round(shop_seconds), 60)
    return Chart(
        title, unit, _format(top, unit), f"{minutes}:{rest:02}", lines,
        [(left, max(1.0, right - left)) for left, right in bands], label,
    )  # fmt: skip


def _place(second: float, length: int) -> float:
    return round(LEFT + (WIDTH - LEFT) * second / max(1, length), 1)


def _join(values: list[float], top: float) -> str:
    span = HEIGHT - TOP - BOTTOM
    across = (WIDTH - LEFT) / max(1, len(values) - 1)
    return " ".join(f"{LEFT + n * across:.1f},{TOP + span * (1 - value / top):.1f}" for n, value in enumerate(values))


def _format(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"
    return f"{text} {unit}".strip() if unit != "/s" else f"{text}/s"
