"""The period that a panel shows: the last hour, day or 30 days, in buckets of equal length. Times are UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

WEEK = timedelta(days=7)
#: Name: (words, length, length of a bucket, seconds that a computed panel may be reused).
SPANS = {
    "hour": ("Hour", timedelta(hours=1), timedelta(minutes=1), 2),
    "day": ("Day", timedelta(days=1), timedelta(minutes=15), 10),
    "month": ("30 days", timedelta(days=30), timedelta(days=1), 60),
}
DEFAULT = "day"


@dataclass(frozen=True, slots=True)
class Period:
    """The time [begin, end) in buckets. The last bucket contains the present."""

    span: str
    begin: datetime
    end: datetime
    bucket: timedelta

    @property
    def former(self) -> "Period":
        """Return the period of the same length before this one."""
        return Period(self.span, self.begin - (self.end - self.begin), self.begin, self.bucket)

    def list_buckets(self) -> list[datetime]:
        """Return the begin of each bucket."""
        count = (self.end - self.begin) // self.bucket
        return [self.begin + number * self.bucket for number in range(count)]

    def as_values(self) -> dict[str, Any]:
        """Return the parameters of a statement."""
        return {"begin": self.begin, "end": self.end, "bucket": self.bucket}


def choose_period(span: str, now: datetime) -> Period:
    """Return the period of `span` whose last bucket contains `now`.

    :raises KeyError: no span has this name.
    """
    _, length, bucket, _ = SPANS[span]
    since_midnight = now.astimezone(UTC) - now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = now - since_midnight + (since_midnight // bucket + 1) * bucket
    return Period(span, end - length, end, bucket)
