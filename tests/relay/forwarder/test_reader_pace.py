"""The pause between two reads: long enough to find several rows, short enough that no row waits long."""

import time

import pytest

from relay.forwarder.reader import FEW_ROWS, IDLE_READ_SECONDS, LONGEST_READ_SECONDS, READ_SECONDS, Reader


def test_the_pause_grows_while_few_rows_arrive_and_shrinks_while_many_do() -> None:
    reader = Reader()
    pauses = []
    for found in [1] * 4 + [FEW_ROWS] * 4:
        reader._pace(time.monotonic(), found, more=False)
        pauses.append(reader._pause)
    assert pauses[0] == 2 * READ_SECONDS
    assert pauses[3] == LONGEST_READ_SECONDS
    assert pauses[-1] == READ_SECONDS
    assert pauses[:4] == sorted(pauses[:4])


def test_another_read_follows_at_once_while_there_are_more_rows() -> None:
    reader = Reader()
    reader._pace(time.monotonic(), 1, more=True)
    assert reader.is_due


def test_after_a_second_without_rows_reads_become_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("relay.forwarder.reader.time.monotonic", lambda: clock[0])
    reader = Reader()
    reader._pace(clock[0], 1, more=False)
    clock[0] += 0.9
    reader._pace(clock[0], 0, more=False)
    assert reader.seconds_left <= LONGEST_READ_SECONDS
    clock[0] += 0.2
    reader._pace(clock[0], 0, more=False)
    assert reader.seconds_left == pytest.approx(IDLE_READ_SECONDS)
