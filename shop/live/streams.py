"""Open streams of the live process, by the orders that they watch. Only the event loop's thread changes them."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable

#: Most open streams: in this process, from one network address, and of one visitor.
MOST_STREAMS, MOST_PER_ADDRESS, MOST_PER_VISITOR = 5000, 50, 6


class TooManyStreams(Exception):
    """A limit of open streams is reached; the message names it."""


class Stream:
    """An open stream. `rung` holds the orders of the next events; `wake` is set if there are any or `ended` is true."""

    __slots__ = ("address", "ended", "orders", "rung", "visitor", "wake")

    def __init__(self, orders: frozenset[str], address: str, visitor: str) -> None:
        self.orders = orders
        self.address = address
        self.visitor = visitor
        self.rung: set[str] = set(orders)  # the page may be older than the stream: compare once
        self.wake = asyncio.Event()
        self.wake.set()
        self.ended = False

    def take_rung(self) -> list[str]:
        """Return the orders that changed since the last call."""
        rung = sorted(self.rung)
        self.rung.clear()
        self.wake.clear()
        return rung

    def end(self) -> None:
        """Let the stream's task end."""
        self.ended = True
        self.wake.set()


class Streams:
    """All open streams of this process."""

    def __init__(self) -> None:
        #: Read by other threads as well: the ids of the watched orders.
        self.watched: dict[str, set[Stream]] = defaultdict(set)
        self._open: set[Stream] = set()
        self._by_address: Counter[str] = Counter()
        self._by_visitor: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, orders: Iterable[str], *, address: str, visitor: str) -> Stream:
        """Add a stream that watches `orders`.

        :raises TooManyStreams: the process, the address or the visitor has too many open streams.
        """
        self._refuse_too_many(address, visitor)
        stream = Stream(frozenset(orders), address, visitor)
        self._open.add(stream)
        self._by_address[address] += 1
        self._by_visitor[visitor] += 1
        for order in stream.orders:
            self.watched[order].add(stream)
        return stream

    def _refuse_too_many(self, address: str, visitor: str) -> None:
        if len(self._open) >= MOST_STREAMS:
            raise TooManyStreams(f"this process has {MOST_STREAMS} open streams")
        if self._by_address[address] >= MOST_PER_ADDRESS:
            raise TooManyStreams(f"this address has {MOST_PER_ADDRESS} open streams")
        if self._by_visitor[visitor] >= MOST_PER_VISITOR:
            raise TooManyStreams(f"this visitor has {MOST_PER_VISITOR} open streams")

    def close(self, stream: Stream) -> None:
        """Remove `stream`."""
        self._open.discard(stream)
        for counts, name in ((self._by_address, stream.address), (self._by_visitor, stream.visitor)):
            counts[name] -= 1
            if counts[name] <= 0:
                del counts[name]
        for order in stream.orders:
            self.watched[order].discard(stream)
            if not self.watched[order]:
                del self.watched[order]

    def ring(self, orders: Iterable[str]) -> None:
        """Wake each stream that watches one of `orders`."""
        for order in orders:
            for stream in self.watched.get(order, ()):
                stream.rung.add(order)
                stream.wake.set()

    def end_all(self) -> None:
        """Let all streams end."""
        for stream in self._open:
            stream.end()
