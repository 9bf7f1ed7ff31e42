"""The verdict on a sample whose processes have several rows."""

from datetime import UTC, datetime
from typing import Any

from shop.control.verdict import PROCESSES, judge


def make_figures(*rows: tuple[str, float]) -> dict[str, Any]:
    processes = [{"name": name, "age": age, "waiting": ""} for name, age in rows]
    return {"processes": processes, "consumers": {}, "outbox": {"refused": 0, "oldest_seconds": 0.0}, "vacuum": []}


def test_an_ended_process_does_not_hide_the_one_that_has_just_completed_a_round() -> None:
    rows = [(name, 0.0) for name in PROCESSES] + [(name, 40.0) for name in PROCESSES]
    assert judge(make_figures(*rows), datetime.now(UTC)) == []


def test_the_newest_row_decides_whether_a_process_is_down() -> None:
    rows = [(name, 20.0 if name == "relay" else 1.0) for name in PROCESSES] + [("relay", 40.0)]
    (finding,) = judge(make_figures(*rows), datetime(2026, 11, 30, 12, 0, 20, tzinfo=UTC))
    assert finding.text == "relay is down since 12:00:00."
