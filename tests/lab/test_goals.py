"""The goals of predictions, which compare the control room's clock with its predictions."""

import pytest

from shop.lab.goals import judge_predictions


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
