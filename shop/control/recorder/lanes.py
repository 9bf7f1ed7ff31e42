"""The drawing of a record: one lane for each part, and one axis on which short and long pauses are both visible."""

from math import log10
from typing import NamedTuple

from relay.consumer.registry import all_consumers
from shop.control.recorder.moments import GATEWAY, KAFKA, LETTERS, OUTBOX, PEOPLE, Moment
from shop.control.recorder.record import Record, describe_gap

LABEL_WIDTH, LANE_HEIGHT, TOP, APART, EDGE = 118, 38, 34, 26, 20
#: Width of a pause, in units of the drawing: a base, and more for each power of ten of its milliseconds, up to a limit.
BASE, PER_POWER, WIDEST = 8.0, 15.0, 110.0
#: A pause longer than this has its length written above it.
LABELLED_SECONDS = 1.0
#: Marks of a drawing. A longer record has its table only.
MOST_MARKS = 300


class Lane(NamedTuple):
    """A part of the shop with the place of its line."""

    name: str
    y: float


class Mark(NamedTuple):
    """A moment in the drawing. `number` is the number of its event, or ""."""

    x: float
    y: float
    number: str
    state: str
    title: str


class Pause(NamedTuple):
    """A long pause between two moments, and its length as text."""

    x: float
    text: str


class Drawing(NamedTuple):
    """The lanes, the marks and the long pauses. Marks right of `now_x` are moments that have not happened."""

    width: float
    height: float
    now_x: float
    lanes: list[Lane]
    marks: list[Mark]
    pauses: list[Pause]


def draw(record: Record) -> Drawing | None:
    """Return the drawing of a record, or None for a record without moments or with more than MOST_MARKS."""
    if not 0 < len(record.done) + len(record.open) <= MOST_MARKS:
        return None
    lanes = make_lanes(record)
    places = {lane.name: lane.y for lane in lanes}
    marks, pauses, x = place_done(record, places)
    now_x = x + 2 * EDGE
    taken: dict[str, float] = {}
    for moment in record.open:
        taken[moment.lane] = taken.get(moment.lane, now_x + EDGE - APART) + APART
        marks.append(make_mark(moment, taken[moment.lane], places))
    width = max([now_x, *taken.values()]) + EDGE
    return Drawing(width, TOP + LANE_HEIGHT * len(lanes), now_x, lanes, marks, pauses)


def make_lanes(record: Record) -> list[Lane]:
    """Return the lanes of the outbox, Kafka and the consumers, and the lanes of other parts that have moments."""
    used = {moment.lane for moment in [*record.done, *record.open]}
    names = [OUTBOX, KAFKA, *(consumer.name for consumer in all_consumers())]
    names += [name for name in (GATEWAY, LETTERS, PEOPLE) if name in used]
    return [Lane(name, TOP + LANE_HEIGHT * (row + 0.5)) for row, name in enumerate(names)]


def place_done(record: Record, places: dict[str, float]) -> tuple[list[Mark], list[Pause], float]:
    """Return the marks of past moments, the long pauses between them, and the place of the last mark.

    A later moment is never left of an earlier one, and two marks of a lane are at least APART.
    """
    marks, pauses, x, before = list[Mark](), list[Pause](), float(LABEL_WIDTH + EDGE), None
    last: dict[str, float] = {}
    for moment in record.done:
        start = x
        if moment.at and before:
            gap = moment.at - before
            x += min(WIDEST, BASE + PER_POWER * log10(1 + max(0.0, gap.total_seconds() * 1000)))
            x = max(x, last.get(moment.lane, 0.0) + APART)
            if gap.total_seconds() > LABELLED_SECONDS:
                x = max(x, start + WIDEST)
                pauses.append(Pause((start + x) / 2, describe_gap(gap)))
        else:
            x = max(x, last.get(moment.lane, 0.0) + APART)
        last[moment.lane], before = x, moment.at or before
        marks.append(make_mark(moment, x, places))
    return marks, pauses, x


def make_mark(moment: Moment, x: float, places: dict[str, float]) -> Mark:
    """Return the mark of a moment. Marks without an event have a letter."""
    at = f"{moment.at:%H:%M:%S.%f}"[:-3] if moment.at else "not yet"
    return Mark(round(x, 1), places[moment.lane], str(moment.number or ""), moment.state, f"{at} {moment.text}")
