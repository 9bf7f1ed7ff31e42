"""Times with an unusual number of orders: too few, too many, or none at all.

Orders are counted in buckets of five minutes. The expected number is the median of the buckets near the same time of
the same weekday in the last four weeks, corrected by the level of the last day. The deviation is a robust z: square
roots make the variance of counts constant, and the median of the absolute deviations widens it if the weeks differ
more than chance would. In a quiet time single buckets say nothing; there a silence counts, whose probability is
e^-expected.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from analytics.completeness import Completeness
from analytics.generation import reading
from analytics.models import Kind
from analytics.panels.pace import read_first
from analytics.panels.period import Period
from analytics.panels.reading import Row, remember

BUCKET = timedelta(minutes=5)
PER_DAY, PER_WEEK = 288, 2016
#: Weeks of the expectation at most, and at least.
WEEKS, FEWEST_WEEKS = 4, 2
#: Buckets before and after the same time that count, too.
NEAR = 4
#: A deviation of this size is unusual: by chance about once in ten weeks.
LIMIT = 4.1
#: Single buckets with a smaller expectation are not judged.
FEWEST_EXPECTED = 8.0
#: Expected orders during a silence from which it is unusual: e^-14 is about one in a million.
SILENCE = 14.0
#: Seconds that a judgement is kept, and the counts older than an hour or two. New counts are judged at once.
KEPT = 600

_COUNTS = """
select (date_part('epoch', begin - %(origin)s) / 300)::int, count from (
    select date_bin(interval '5 minutes', minute, %(origin)s) as begin, sum(count)::bigint as count
    from analytics_minute where kind = %(kind)s and minute >= %(begin)s and minute < %(end)s group by 1) bucket
"""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected number of a bucket, and the band of usual numbers."""

    middle: float
    low: float
    high: float
    scale: float

    def measure(self, count: int) -> float:
        """Return the robust z of `count`."""
        return 2 * (math.sqrt(count + 0.375) - math.sqrt(self.middle + 0.375)) * self.scale


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Neighbouring unusual buckets [first, last], in the number of buckets since the origin."""

    first: int
    last: int
    kind: str
    count: int
    expected: float
    low: float
    high: float


def expect(counts: Sequence[int | None], place: int) -> Expectation | None:
    """Return the expectation of the bucket `place` from former weeks, or None without FEWEST_WEEKS of history."""
    samples, weeks = list[int](), 0
    for week in range(1, WEEKS + 1):
        centre = place - week * PER_WEEK
        near = counts[max(0, centre - NEAR) : max(0, centre + NEAR + 1)]
        known = [count for count in near if count is not None]
        weeks += bool(centre >= 0 and known)
        samples += known
    if weeks < FEWEST_WEEKS:
        return None
    middle = find_median(samples)
    if middle < FEWEST_EXPECTED:  # the medians of small numbers are coarse
        return make_expectation(math.fsum(samples) / len(samples), 1.0)
    spread = 1.4826 * find_median([abs(count - middle) for count in samples])
    scale = math.sqrt(middle) / spread if spread > math.sqrt(middle) > 0 else 1.0
    return make_expectation(middle, scale)


def find_median(values: list[Any]) -> float:
    """Return the median of `values`. The page of 30 days calls this 18,000 times; statistics.median is slower."""
    values.sort()
    half = len(values) // 2
    return float(values[half]) if len(values) % 2 else (values[half - 1] + values[half]) / 2


def make_expectation(middle: float, scale: float) -> Expectation:
    """Return the expectation with its band. A `scale` below 1 widens the band."""
    root, width = math.sqrt(middle + 0.375), LIMIT / (2 * scale)
    low = max(0.0, root - width) ** 2 - 0.375
    return Expectation(middle, max(0.0, low), (root + width) ** 2 - 0.375, scale)


def expect_all(counts: Sequence[int | None], first: int, end: int) -> dict[int, Expectation]:
    """Return the expectations of the buckets [first, end), corrected by the level of the day before each bucket."""
    plain = {
        place: found for place in range(max(0, first - PER_DAY), end) if (found := expect(counts, place)) is not None
    }
    corrected = {}
    actual = expected = 0.0
    for place in range(max(0, first - PER_DAY), end):
        if place >= first and place in plain:
            level = min(2.0, max(0.5, actual / expected)) if expected >= 50 else 1.0
            corrected[place] = make_expectation(plain[place].middle * level, plain[place].scale)
        for at, sign in ((place, 1), (place - PER_DAY, -1)):
            if at in plain and (count := counts[at]) is not None:
                actual += sign * count
                expected += sign * plain[at].middle
    return corrected


def find_anomalies(
    counts: Sequence[int | None], first: int, end: int, expected: dict[int, Expectation] | None = None
) -> list[Anomaly]:
    """Return the anomalies in the complete buckets [first, end). A count of None is unknown and is not judged."""
    expected = expect_all(counts, first, end) if expected is None else expected
    kinds: dict[int, str] = {}
    silent, missed = list[int](), 0.0
    for place in range(first, end):
        count, usual = counts[place], expected.get(place)
        if count is None or usual is None:
            silent, missed = [], 0.0
            continue
        if usual.middle >= FEWEST_EXPECTED and abs(z := usual.measure(count)) >= LIMIT:
            kinds[place] = "few" if z < 0 else "many"
        silent, missed = ([*silent, place], missed + usual.middle) if count == 0 else ([], 0.0)
        if missed >= SILENCE:
            kinds |= dict.fromkeys(silent, "silence")
    return _join(kinds, counts, expected)


def _join(kinds: dict[int, str], counts: Sequence[int | None], expected: dict[int, Expectation]) -> list[Anomaly]:
    """Return neighbouring buckets of one direction as one anomaly. One usual bucket between them does not part them."""
    groups: list[list[int]] = []
    for place in sorted(kinds):
        is_many = kinds[place] == "many"
        if groups and place - groups[-1][-1] <= 2 and (kinds[groups[-1][-1]] == "many") == is_many:
            groups[-1].append(place)
        else:
            groups.append([place])
    found = []
    for group in groups:
        places = range(group[0], group[-1] + 1)
        usual = [expected[place] for place in places if place in expected]
        width = LIMIT * math.sqrt(sum(one.middle / one.scale**2 for one in usual))
        middle, count = sum(one.middle for one in usual), sum(counts[place] or 0 for place in places)
        kind = "silence" if count == 0 else "many" if kinds[group[0]] == "many" else "few"
        found.append(Anomaly(group[0], group[-1], kind, count, middle, max(0.0, middle - width), middle + width))
    return found


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judged buckets [first, len(counts)) since `origin`, with their expectations and the anomalies."""

    origin: datetime
    first: int
    counts: list[int | None]
    expected: dict[int, Expectation]
    anomalies: list[Anomaly]


def judge(period: Period, complete: Completeness) -> Judgement:
    """Judge the complete buckets of the period. The same counts are judged once."""
    origin, counts = read_buckets(period, complete)
    first = max(0, (period.begin - origin) // BUCKET)

    def compute() -> Judgement:
        expected = expect_all(counts, first, len(counts))
        return Judgement(origin, first, counts, expected, find_anomalies(counts, first, len(counts), expected))

    return remember(("anomalies", origin, first, hash(tuple(counts))), KEPT, compute)


def read_anomalies(period: Period, complete: Completeness) -> list[Row]:
    """Return the anomalies of the period as rows, the newest first. Only complete buckets are judged."""
    judged = judge(period, complete)
    return [describe(one, judged.origin) for one in reversed(judged.anomalies)]


def read_buckets(period: Period, complete: Completeness) -> tuple[datetime, list[int | None]]:
    """Return the origin, and the number of orders of each complete bucket since then. None is before the history."""
    origin = period.begin - WEEKS * timedelta(days=7) - timedelta(days=1)
    origin = origin.replace(minute=0, second=0, microsecond=0)
    end = min(period.end, complete.until)
    recent = max(origin, end.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1))
    found = remember(("counts", origin, recent), KEPT, lambda: _count_orders(origin, origin, recent))
    found = found | _count_orders(origin, recent, end)
    known_from, length = read_first(), max(0, (end - origin) // BUCKET)
    unknown = length if known_from is None else min(length, max(0, -((origin - known_from) // BUCKET)))
    return origin, [None] * unknown + [found.get(place, 0) for place in range(unknown, length)]


def _count_orders(origin: datetime, begin: datetime, end: datetime) -> dict[int, int]:
    """Return the number of orders in [begin, end) by the number of the bucket since `origin`."""
    with reading() as cursor:
        cursor.execute(_COUNTS, {"origin": origin, "begin": begin, "end": end, "kind": Kind.PLACED})
        return dict(cursor.fetchall())


def describe(anomaly: Anomaly, origin: datetime) -> Row:
    """Return the row of an anomaly with one sentence that explains it."""
    began, ended = origin + anomaly.first * BUCKET, origin + (anomaly.last + 1) * BUCKET
    when = f"from {began:%H:%M} to {ended:%H:%M} UTC on {began:%A, %-d %B}"
    usual = f"{math.ceil(anomaly.low):,} to {math.floor(anomaly.high):,} are usual at this time of a {began:%A}"
    orders = {"silence": "No order", "few": f"Only {anomaly.count:,} orders"}.get(
        anomaly.kind, f"{anomaly.count:,} orders"
    )
    return {
        **{"begin": began, "end": ended, "kind": anomaly.kind, "orders": anomaly.count},
        **{"expected": round(anomaly.expected, 1), "low": round(anomaly.low, 1), "high": round(anomaly.high, 1)},
        "why": f"{orders} {when}, while {usual}.",
    }
