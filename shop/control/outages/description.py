"""A consumer in words: its state, what it is predicted to do, and a description of its chart."""

from typing import Any

from shop.control.outages.points import Interval
from shop.control.verdict import format_seconds

#: The lag changes if it differs by more than this share between the first and the last part of the last minutes.
CHANGE = 0.1


def describe_prediction(now: dict[str, Any], name: str) -> str:
    """Return what is predicted for consumer `name`, as sentences."""
    prediction, consumer = now.get("predictions", {}).get(name), now["consumers"][name]
    outage = now.get("outages", {}).get(name)
    waiting = consumer["lag"] - consumer["parked_events"]
    is_away = bool(outage and outage["returned_at"] is None)
    if prediction is None and outage:
        return "Unknown in the first outage: its whole drain teaches the capacity."
    if prediction is None:
        return "Unknown until the first backlog: the capacity is measured while a consumer catches up."
    if prediction["seconds"] is None:
        grows = f"the backlog grows by {prediction['growth']:,.0f} events/s: arrivals exceed the capacity."
        return f"Even if it came back now, {grows}" if is_away else grows.capitalize()
    if is_away:
        more = prediction["per_minute"]
        added = f" Each further minute adds {format_seconds(more)}." if more >= 0.5 else ""
        return f"If it came back now: {_tell_range(prediction)}.{added}"
    if waiting < 200 and outage is None:
        return "Nothing to catch up."
    return f"Drained in about {_tell_range(prediction)}."


def _tell_range(prediction: dict[str, Any]) -> str:
    low, high = prediction["low"], prediction["high"]
    text = format_seconds(prediction["seconds"])
    if low is None or (high is not None and round(low) == round(high)):
        return text
    upper = "without end" if high is None else format_seconds(high)
    return f"{text} (between {format_seconds(low)} and {upper})"


def describe_trend(series: list[Interval]) -> str:
    """Return whether the lag of the last tenth of a series is rising, falling or steady."""
    recent = series[-max(3, len(series) // 10) :]
    if len(recent) < 3:
        return "too short for a trend"
    first, last = recent[0].waiting, recent[-1].waiting
    if abs(last - first) <= max(20, CHANGE * max(first, last)):
        return "steady"
    return "rising" if last > first else "falling"


def describe_chart(now: dict[str, Any], name: str, series: list[Interval]) -> str:
    """Return the text of the chart for screen readers, for example: lag 12,400, falling, drained in about 48 s."""
    consumer = now["consumers"][name]
    waiting = consumer["lag"] - consumer["parked_events"]
    words = [f"lag {waiting:,}", describe_trend(series)]
    if prediction := describe_prediction(now, name).rstrip("."):
        words.append(prediction[0].lower() + prediction[1:])
    return ", ".join(words)
