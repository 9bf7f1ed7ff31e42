"""The registry of open streams: rings, limits, and nothing left after a stream has closed."""

import pytest

from shop.live import streams
from shop.live.streams import Streams, TooManyStreams


def test_a_ring_wakes_the_streams_of_the_order_and_no_other() -> None:
    registry = Streams()
    one = registry.open(["a", "b"], address="1", visitor="x")
    other = registry.open(["c"], address="1", visitor="y")
    assert one.take_rung() == ["a", "b"]  # at the beginning, the page may be older than the stream
    other.take_rung()
    registry.ring(["b", "unknown"])
    assert (one.wake.is_set(), one.take_rung()) == (True, ["b"])
    assert (other.wake.is_set(), other.take_rung()) == (False, [])


@pytest.mark.parametrize(
    ("limit", "text"),
    [("MOST_STREAMS", "process"), ("MOST_PER_ADDRESS", "address"), ("MOST_PER_VISITOR", "visitor")],
)
def test_each_limit_refuses_one_stream_more_until_another_closes(
    monkeypatch: pytest.MonkeyPatch, limit: str, text: str
) -> None:
    monkeypatch.setattr(streams, limit, 2)
    registry = Streams()
    first = registry.open(["a"], address="1", visitor="x")
    registry.open(["a"], address="1", visitor="x")
    with pytest.raises(TooManyStreams, match=text):
        registry.open(["a"], address="1", visitor="x")
    registry.close(first)
    registry.open(["a"], address="1", visitor="x")


def test_closed_streams_leave_nothing() -> None:
    registry = Streams()
    opened = [registry.open([str(n), "shared"], address=str(n), visitor=str(n)) for n in range(100)]
    for stream in opened:
        registry.close(stream)
    assert (len(registry), registry.watched) == (0, {})
    assert (registry._by_address, registry._by_visitor) == ({}, {})
