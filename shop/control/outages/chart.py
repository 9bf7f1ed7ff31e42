"""The chart of a consumer's lag: an SVG drawing, and its figures for the chart in the browser."""

import json
import math
from datetime import UTC, datetime
from typing import NamedTuple

from shop.control.models import Outage
from shop.control.outages.points import Interval

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 240, 64, 26, 10
ROWS = 4
#: Neighbours further apart than this number of intervals are not joined: the sampler did not run.
GAP = 8


class Band(NamedTuple):
    """An outage in the drawing."""

    x: float
    width: float
    began: int
    until: int


class Mark(NamedTuple):
    """A line of the grid with its text."""

    place: float
    text: str


class Chart(NamedTuple):
    """A drawing of the waiting events. `lines` are lists of points for polylines; `data` is JSON for the browser."""

    width: int
    height: int
    left: int
    bottom: int
    lines: list[str]
    bands: list[Band]
    rows: list[Mark]
    columns: list[Mark]
    data: str
    first: int
    end: int


def draw_chart(series: list[Interval], outages: list[Outage], *, end: int, seconds: int) -> Chart:
    """Return the chart of the last `seconds` before `end`."""
    first = end - seconds
    highest = find_ceiling(max((interval.waiting for interval in series), default=0))

    def find_x(at: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 6) * min(1.0, max(0.0, (at - first) / seconds)), 1)

    def find_y(waiting: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * waiting / highest, 1)

    bands = []
    for outage in outages:
        began, until = outage.began_at.timestamp(), (outage.returned_at or datetime.fromtimestamp(end, UTC)).timestamp()
        if until > first:
            x = find_x(began)
            bands.append(Band(x, max(1.0, round(find_x(until) - x, 1)), int(began), int(until)))
    pieces = split_at_gaps(series, seconds)
    return Chart(
        WIDTH,
        HEIGHT,
        LEFT,
        HEIGHT - BOTTOM,
        [" ".join(f"{find_x(one.at)},{find_y(one.waiting)}" for one in piece) for piece in pieces],
        bands,
        [Mark(find_y(highest * row / ROWS), f"{highest * row // ROWS:,}") for row in range(ROWS + 1)],
        [Mark(find_x(at), f"{datetime.fromtimestamp(at, UTC):%H:%M}") for at in list_times(first, seconds)],
        dump_figures(pieces),
        first,
        end,
    )


def dump_figures(pieces: list[list[Interval]]) -> str:
    """Return times and waiting events as two JSON lists, with a null between pieces."""
    times, waiting = list[int](), list[int | None]()
    for piece in pieces:
        if times:
            times.append(times[-1] + 1)
            waiting.append(None)
        times += [one.at for one in piece]
        waiting += [one.waiting for one in piece]
    return json.dumps([times, waiting], separators=(",", ":"))


def split_at_gaps(series: list[Interval], seconds: int) -> list[list[Interval]]:
    """Return the intervals in pieces without gaps."""
    widest = max(GAP * seconds / 300, 130 if seconds > 3600 else 30)
    pieces: list[list[Interval]] = []
    for interval in series:
        if not pieces or interval.at - pieces[-1][-1].at > widest:
            pieces.append([])
        pieces[-1].append(interval)
    return pieces


def list_times(first: int, seconds: int) -> list[int]:
    """Return about six round times in the last `seconds`."""
    step = next(step for step in (600, 3600, 8 * 3600) if seconds / step <= 6)
    return list(range(first // step * step + step, first + seconds, step))


def find_ceiling(highest: int) -> int:
    """Return a round number from `highest` upwards, at least 20, that ROWS divides."""
    size: int = 10 ** max(1, int(math.log10(max(highest, 1))))
    steps = (size * share // 10 for share in (10, 12, 16, 20, 30, 40, 60, 80, 100, 120))
    return max(20, next((one for one in steps if one >= highest and one % ROWS == 0), size * 20))
