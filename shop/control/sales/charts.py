"""Drawings as SVG: bars with a line, and a band with a line. The templates draw what these functions compute."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils import timezone

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 960, 276, 70, 34, 26
ROWS = 4
#: Labels below a chart at most.
COLUMNS = 7
Format = Callable[[float], str]
Values = Sequence[float | None]


class Bar(NamedTuple):
    """A bar; `kind` is settled, open or unknown, and `title` says its figures."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


class Mark(NamedTuple):
    """A line of the grid with its text."""

    place: float
    text: str


class Chart(NamedTuple):
    """A drawing. `lines` are points of polylines, `band` of a polygon, `dots` are (x, y, title)."""

    rows: list[Mark]
    columns: list[Mark]
    bars: list[Bar]
    lines: list[str]
    band: str = ""
    dots: Sequence[tuple[float, float, str]] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    floor: int = HEIGHT - BOTTOM
    top: int = TOP


def find_ceiling(highest: float) -> float:
    """Return a round number from `highest` upwards that has ROWS equal parts."""
    if highest <= ROWS:
        return ROWS
    size = 10.0 ** math.floor(math.log10(highest))
    shares = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
    return next(
        size * share for share in shares if (size * share >= highest and size * share % ROWS == 0) or share == 10
    )


def draw_bars(
    begins: list[datetime], values: Values, before: Values, kinds: list[str], titles: list[str], *, show: Format
) -> Chart:
    """Return bars of `values`, and a line of the values `before`. A value of None has no bar."""
    highest = find_ceiling(max([value for value in [*values, *before] if value is not None], default=0))
    step = (WIDTH - LEFT) / max(1, len(begins))
    bars = []
    for place, (value, kind, title) in enumerate(zip(values, kinds, titles, strict=True)):
        tall = HEIGHT - BOTTOM - TOP if value is None else (HEIGHT - BOTTOM - TOP) * value / highest
        x, y = LEFT + place * step, HEIGHT - BOTTOM - tall
        bars.append(Bar(round(x + step * 0.1, 1), round(y, 1), round(step * 0.8, 1), round(tall, 1), kind, title))
    return Chart(
        _list_rows(highest, show),
        _list_columns(begins),
        bars,
        _join(before, lambda place: LEFT + (place + 0.5) * step, highest),
    )


def draw_band(
    begins: list[datetime], values: Values, low: Values, high: Values, marked: dict[int, str], *, show: Format
) -> Chart:
    """Return a line of `values` in the band from `low` to `high`, with dots at the marked places."""
    highest = find_ceiling(max([value for value in [*values, *high] if value is not None], default=0))
    step = (WIDTH - LEFT) / max(1, len(begins))

    def find_x(place: float) -> float:
        return LEFT + (place + 0.5) * step

    def find_point(place: int, value: float) -> str:
        return f"{find_x(place):.1f},{_find_y(value, highest):.1f}"

    upper = [find_point(place, value) for place, value in enumerate(high) if value is not None]
    lower = [find_point(place, value) for place, value in enumerate(low) if value is not None]
    dots = [
        (round(find_x(place), 1), round(_find_y(values[place] or 0, highest), 1), title)
        for place, title in marked.items()
    ]
    band = " ".join([*upper, *reversed(lower)])
    return Chart(_list_rows(highest, show), _list_columns(begins), [], _join(values, find_x, highest), band, dots)


def _find_y(value: float, highest: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / highest


def _join(values: Values, find_x: Callable[[float], float], highest: float) -> list[str]:
    """Return the points of polylines; an unknown value parts them."""
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{find_x(place):.1f},{_find_y(value, highest):.1f}")
    return [" ".join(line) for line in lines if len(line) > 1]


def _list_rows(highest: float, show: Format) -> list[Mark]:
    return [
        Mark(round(_find_y(highest * row / ROWS, highest), 1), show(highest * row / ROWS)) for row in range(ROWS + 1)
    ]


def _list_columns(begins: list[datetime]) -> list[Mark]:
    """Return at most COLUMNS labels at round times of the shop's time zone."""
    step = (WIDTH - LEFT) / max(1, len(begins))
    is_long = len(begins) > 1 and begins[1] - begins[0] >= timedelta(days=1)
    seconds = [600, 1800, 3600, 4 * 3600, 86400, 5 * 86400]
    length = (begins[-1] - begins[0]).total_seconds() if begins else 0
    every = next((one for one in seconds if length / one <= COLUMNS), seconds[-1])
    chosen = [place for place, begin in enumerate(begins) if begin.timestamp() % every == 0]
    texts = [f"{begins[at]:%-d %b}" if is_long else f"{timezone.localtime(begins[at]):%H:%M}" for at in chosen]
    return [
        Mark(round(LEFT + (place + (0.5 if is_long else 0)) * step, 1), text)
        for place, text in zip(chosen, texts, strict=True)
    ]
