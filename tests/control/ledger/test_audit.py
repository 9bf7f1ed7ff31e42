"""The pauses between repetitions of checks."""

from itertools import pairwise
from typing import Any

import pytest

from shop.control.ledger.round import Ledger


@pytest.mark.parametrize(
    ("took", "pause"),
    [pytest.param(0.01, 2.0, id="a quick repetition"), pytest.param(1.0, 20.0, id="a slow repetition")],
)
def test_the_next_repetition_comes_after_200_times_its_duration_and_within_20_seconds(
    took: float, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, began = 1000.0, []

    def repeat_checks(*_: Any, **__: Any) -> None:
        nonlocal now
        began.append(now)
        now += took

    monkeypatch.setattr("shop.control.ledger.round.time.monotonic", lambda: now)
    monkeypatch.setattr("shop.control.ledger.audit.repeat_checks", repeat_checks)
    ledger = Ledger(parts={})
    while len(began) < 3:
        ledger._repeat_checks()
        now += 0.5
    assert all(pause <= later - earlier < pause + 1 for earlier, later in pairwise(began))
