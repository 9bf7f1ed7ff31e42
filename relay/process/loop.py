"""What every long-running process of the relay shares: stop on a signal, and pause longer after each failure."""

import gc
import logging
import signal
import sys
import threading
from types import FrameType

from django.db import InterfaceError, OperationalError, connections
from psycopg.errors import ProgramLimitExceeded, QueryCanceled, StatementTooComplex

from relay.heartbeat import Pulse
from relay.process.broker import BrokerUnavailable

logger = logging.getLogger(__name__)

# Says nothing about an event: deadlock, serialisation, lock time-out, lost connection, broker away. Never parked.
TRANSIENT = (OperationalError, InterfaceError, BrokerUnavailable)
# Of the same class, but a statement that takes too long, or is more than PostgreSQL can do, does so again.
_OF_AN_EVENT = (QueryCanceled, ProgramLimitExceeded, StatementTooComplex)


def is_transient(error: Exception) -> bool:
    """Tell whether what failed may go well the next time as it is, so that no event is to blame."""
    return isinstance(error, TRANSIENT) and not isinstance(error.__cause__, _OF_AN_EVENT)


def prepare_for_batches() -> None:
    """Tune this process for thousands of short-lived objects at a time, and for threads that wait for the database.

    Batches make no cycles, and what was imported lives as long as the process: looking for garbage in both took a third
    of a consumer's processor time. And whoever comes back from the database waits for the interpreter until the
    other thread's turn is over.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(0.001)


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping


class Backoff:
    """Pauses that grow from a tenth of a second to five seconds, and start anew after a success.

    The heartbeat `pulse` tells what is waited for.
    """

    def __init__(self, stopping: threading.Event, *, pulse: Pulse | None = None, longest: float = 5.0) -> None:
        self._stopping = stopping
        self._pulse = pulse
        self._longest = longest
        self._pause = 0.1

    def succeed(self) -> None:
        """Start anew: the next pause is the shortest."""
        self._pause = 0.1

    def pause(self, what: str, error: Exception) -> None:
        """Log the failure, close this thread's database connections, and wait (less if stopping)."""
        logger.warning("%s: will try again", what, extra={"error": f"{type(error).__name__}: {error}".strip()})
        connections.close_all()  # they may be dead, those that handlers use for other databases too
        if self._pulse:
            self._pulse.wait(error)
        self._stopping.wait(self._pause)
        self._pause = min(self._longest, self._pause * 2)
