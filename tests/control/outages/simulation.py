"""A consumer in simulated time, with the samples that the sampler would take of it.

Orders arrive at random. Each applied order causes a second event for the same consumer, as the saga does for inventory.
"""

import math
import random
from collections import deque
from datetime import UTC, datetime
from typing import Any

import pytest

from shop.control import sampler
from shop.control.models import Outage, Sample

TICK = 0.1
BEGIN = 1_800_000_000.0
CONFIRM_SECONDS = 0.4
BEAT_SECONDS = 2.0


class Simulation:
    """The consumer "inventory" with `orders` per second, and the capacity `mu` in events per second."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        orders: float,
        mu: float,
        seed: int,
        start: float = 3.0,
        saga: float = math.inf,
    ) -> None:
        """Start calm. `start` is the mean time that a restart takes, `saga` the most second events per second."""
        self._random = random.Random(seed)
        self.orders, self._mu, self._start = orders, mu, start
        self._queue: deque[bool] = deque()  # whether the event causes a second one
        self._later: deque[float] = deque()
        self.now = BEGIN
        self._arrived = self._applied = 0
        self._spare = self._confirms = 0.0
        self._saga = saga
        self._works_at: float | None = BEGIN
        self._process, self._started = 1, BEGIN
        self._beaten_at, self._beaten = BEGIN, 0
        self._due = BEGIN
        self._paused_at = ""
        monkeypatch.setattr(sampler, "read_figures", lambda *_, **__: self.read())

    def run(self, seconds: float) -> None:
        """Let time pass, with samples."""
        end = self.now + seconds
        while self.now < end:
            self._step()
            if self.now >= self._due:
                self._due = self._sample()

    def stop(self) -> None:
        """End the process."""
        self._works_at = None

    def start(self) -> None:
        """Start a new process, which joins its group after some time."""
        self._process += 1
        self._started = self.now
        self._works_at = self.now + self._random.uniform(0.85, 1.15) * self._start

    def finish_outage(self) -> Outage:
        """Run until the outage has ended, and return it."""
        for _second in range(1000):
            self.run(1)
            if not Outage.objects.filter(ended_at=None).exists():
                return Outage.objects.latest("began_at")
        raise AssertionError(f"the outage does not end: {len(self._queue)} events wait")

    def _step(self) -> None:
        self.now += TICK
        for _order in range(self._draw(self.orders * TICK)):
            self._queue.append(True)
            self._arrived += 1
        self._confirms = min(self._confirms, 1.0) + self._random.uniform(0.5, 1.5) * self._saga * TICK
        while self._later and self._later[0] <= self.now and self._confirms >= 1:
            self._confirms -= 1
            self._later.popleft()
            self._queue.append(False)
            self._arrived += 1
        if self._works_at is None or self.now < self._works_at:
            return
        self._spare += self._random.uniform(0.6, 1.4) * self._mu * TICK
        while self._queue and self._spare >= 1:
            self._spare -= 1
            self._applied += 1
            if self._queue.popleft():
                self._later.append(self.now + CONFIRM_SECONDS)
        self._spare = min(self._spare, 1.0)
        if self.now - self._beaten_at >= BEAT_SECONDS:
            self._beaten_at, self._beaten = self.now, self._applied

    def _draw(self, mean: float) -> int:
        """Return a number of a Poisson distribution."""
        limit, count, product = math.exp(-mean), 0, self._random.random()
        while product > limit:
            count, product = count + 1, product * self._random.random()
        return count

    def read(self) -> dict[str, Any]:
        """Return the figures, as shop.control.figures does."""
        consumer: dict[str, Any] = {
            "lag": len(self._queue),
            "parked": 0,
            "parked_events": 0,
            "exact": True,
            "arrived": self._arrived,
        }
        consumer |= {"paused_at": "", "behind_seconds": len(self._queue) / self.orders, "oldest_seconds": 0.0}
        process = self._process if self._beaten_at > self._started else self._process - 1
        row: dict[str, Any] = {
            "process": f"inventory@here:{process}",
            "name": "inventory",
            "waiting": "",
            "started": self._started,
        }
        row |= {"age": self.now - self._beaten_at, "counters": {"applied": self._beaten}}
        return {
            "arrivals": {"began": 0, "position": 0, "topics": {}},
            "consumers": {"inventory": consumer},
            "processes": [row],
            "outbox": {"unpublished": 0, "oldest_seconds": 0.0, "refused": 0},
            "vacuum": [],
        }

    def _sample(self) -> float:
        """Take a sample, and return the time of the next one."""
        before = Sample.objects.order_by("-period").first()
        at, period = datetime.fromtimestamp(self.now, UTC), math.floor(self.now)
        figures = sampler.make_figures(before, at)
        Sample.objects.create(period=period, at=at)
        sampler.store_figures(figures, period, at)
        # In the simulation other parts never run, so `is_troubled` is always true.
        late = figures["outages"] or figures["consumers"]["inventory"]["behind_seconds"] > 10
        return period + (1 if late else 5 - period % 5) + self._random.uniform(0.0, 0.2)

    @property
    def figures(self) -> dict[str, Any]:
        """The newest sample's figures."""
        newest: dict[str, Any] | None = Sample.objects.latest("period").figures
        assert newest is not None
        return newest
