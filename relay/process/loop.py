"""Shared parts of long-running processes: stop on a signal, and back off after failures."""

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

# Errors that do not depend on an event: deadlocks, lock time-outs, lost connections and others. They never park a key.
TRANSIENT = (OperationalError, InterfaceError, BrokerUnavailable)
# OperationalErrors that recur with the same event: the statement is too slow or too large for PostgreSQL.
_OF_AN_EVENT = (QueryCanceled, ProgramLimitExceeded, StatementTooComplex)


def is_transient(error: Exception) -> bool:
    """Return whether the same work may succeed later, so that no event is at fault."""
    return isinstance(error, TRANSIENT) and not isinstance(error.__cause__, _OF_AN_EVENT)


def prepare_for_batches() -> None:
    """Tune the garbage collector and the thread switch interval of this process for batches.

    Garbage collection took a third of a consumer's CPU time, although batches create no cycles and imported modules
    live as long as the process. The short switch interval lets a thread continue sooner after a database call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(0.001)


def stop_on_signals() -> threading.Event:
    """Return a threading.Event that SIGTERM and SIGINT set."""
    stopping = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping


class Backoff:
    """Pauses that double from 0.1 s up to `longest` seconds, and restart at 0.1 s after a success.

    The heartbeat `pulse` reports the error that the process waits for.
    """

    def __init__(self, stopping: threading.Event, *, pulse: Pulse | None = None, longest: float = 5.0) -> None:
        self._stopping = stopping
        self._pulse = pulse
        self._longest = longest
        self._pause = 0.1

    def succeed(self) -> None:
        """Reset the next pause to 0.1 s."""
        self._pause = 0.1

    def pause(self, what: str, error: Exception) -> None:
        """Log the failure `what`, close the database connections, which may be dead, and wait until a stop at most."""
        logger.warning("%s: will try again", what, extra={"error": f"{type(error).__name__}: {error}".strip()})
        connections.close_all()  # they may be dead, those that handlers use for other databases too
        if self._pulse:
            self._pulse.wait(error)
        self._stopping.wait(self._pause)
        self._pause = min(self._longest, self._pause * 2)
