"""The delay of the shop's parts for customers: how late they are, from the newest sample of the control room.

Each web process reads the delays at most once per CACHE_SECONDS, so that pages of orders cost nothing.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.db import Error, connection, transaction

logger = logging.getLogger(__name__)

CACHE_SECONDS = 1.0
#: A part that is less late is not worth a message.
LEAST_SECONDS = 15.0
#: Older figures are unknown: the sampler does not run.
OLDEST_SECONDS = 20.0
#: An order that waits longer than this waits for a part whose delay the samples do not show, for example the gateway.
PATIENCE_SECONDS = 60.0

SAFE = "Your order is safe: we have stored it, and you need not do anything."
_READ = """
select consumer, behind_seconds, is_away, drain_seconds, extract(epoch from clock_timestamp() - at)::float8
from delays_delay
"""


class Behind(NamedTuple):
    """The delay of a part. `expected_seconds` is None while the part is away or its capacity is unknown."""

    behind_seconds: float
    expected_seconds: float | None


class Waiting(NamedTuple):
    """Why an order waits. Without `behind_seconds` the delay is unknown."""

    part: str
    behind_seconds: int | None
    expected_seconds: int | None
    text: str


class _Cache:
    """The delays that this process read last."""

    read_at = -math.inf
    delays: Mapping[str, Behind] = {}


def read_delays() -> Mapping[str, Behind]:
    """Return the delay by consumer, at most CACHE_SECONDS old. It is empty if the newest sample is too old."""
    now = time.monotonic()
    if now - _Cache.read_at >= CACHE_SECONDS:
        _Cache.read_at = now  # first: a second thread uses the old delays meanwhile
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_READ)
                rows = cursor.fetchall()
        except Error as error:
            logger.warning("the delays are unknown", extra={"error": str(error).strip()})
            rows = []
        _Cache.delays = {
            consumer: Behind(behind + age, None if is_away else drain)
            for consumer, behind, is_away, drain, age in rows
            if age < OLDEST_SECONDS
        }
    return _Cache.delays


def find_waiting(consumers: Sequence[str], subject: str, age_seconds: float) -> Waiting | None:
    """Return why an order waits for the latest of `consumers`, or None if nothing is late.

    :param subject: the part in words, as the beginning of the sentence, for example "The stock check".
    :param age_seconds: the age of the order.
    """
    delays = read_delays()
    known = [(delays[name].behind_seconds, name) for name in consumers if name in delays]
    behind, part = max(known, default=(0.0, consumers[0]))
    if behind >= LEAST_SECONDS:
        expected = delays[part].expected_seconds
        soon = f" We expect to reach your order in {tell_time(expected)}." if expected is not None else ""
        text = f"{subject} is {tell_time(behind)} behind.{soon} {SAFE}"
        return Waiting(part, round(behind), None if expected is None else math.ceil(expected), text)
    if age_seconds >= PATIENCE_SECONDS:
        return Waiting(part, None, None, f"{subject} takes longer than usual, perhaps some minutes. {SAFE}")
    return None


def tell_time(seconds: float) -> str:
    """Return a rounded time as text, which changes rarely: half a minute, a minute, 3 minutes, 2 hours."""
    if seconds < 12:
        return "a few seconds"
    if seconds < 45:
        return "about half a minute"
    if seconds < 90:
        return "about a minute"
    if seconds < 100 * 60:
        return f"about {round(seconds / 60)} minutes"
    return f"about {round(seconds / 3600)} hours"
