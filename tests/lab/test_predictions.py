"""The predictions of a drain that the lab reads from the control room's outages, and how it judges them."""

from datetime import UTC, datetime, timedelta

import pytest

from shop.control.models import Outage
from shop.lab.goals import judge_predictions
from shop.lab.results import read_predictions
from shop.lab.switches import Switch

ON_AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
SWITCH = Switch(1, "inventory", 60, 660, ON_AT - timedelta(minutes=10), ON_AT, ON_AT + timedelta(seconds=2))


def store_outage(back: timedelta, *, drain: float, consumer: str = "inventory") -> None:
    """Store an outage of ten minutes whose consumer came back `back` after ON_AT, and drained in `drain` seconds."""
    returned_at = ON_AT + back
    ended_at = returned_at + timedelta(seconds=drain)
    Outage.objects.create(
        consumer=consumer,
        kind="down",
        began_at=returned_at - timedelta(minutes=10),
        returned_at=returned_at,
        drained_at=ended_at,
        ended_at=ended_at,
        predicted_away=drain + 3,
        predicted_back=drain + 1,
    )


@pytest.mark.django_db
def test_the_lab_reads_the_outage_of_its_switch_also_if_the_consumer_was_back_before_the_lab_noted_it() -> None:
    assert read_predictions(SWITCH) is None
    store_outage(timedelta(milliseconds=-80), drain=20)
    store_outage(timedelta(milliseconds=-80), drain=7, consumer="payments")
    store_outage(timedelta(hours=-1), drain=5)
    assert read_predictions(SWITCH) == {"away": 23, "back": 21, "actual": 20}


@pytest.mark.parametrize(
    ("away", "back", "actual", "reached"),
    [
        pytest.param(24.0, 22.0, 20.0, [True, True], id="both near"),
        pytest.param(24.2, 22.2, 20.0, [False, False], id="both too long"),
        pytest.param(15.9, 17.9, 20.0, [False, False], id="both too short"),
        pytest.param(None, None, 20.0, [], id="no earlier outage"),
        pytest.param(3.0, 3.0, 9.0, [], id="a short drain"),
        pytest.param(30.0, 30.0, None, [], id="an interrupted drain"),
    ],
)
def test_a_prediction_is_judged_within_20_percent_while_off_and_10_percent_afterwards(
    away: float | None, back: float | None, actual: float | None, reached: list[bool]
) -> None:
    goals = judge_predictions({"away": away, "back": back, "actual": actual})
    assert [goal["reached"] for goal in goals] == reached
