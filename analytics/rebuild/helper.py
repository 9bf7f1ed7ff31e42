"""The second process of a rebuild. It walks through the outbox, too, and applies the events of its half of the keys.

It is forked before the rebuild has a connection, waits for its start, and ends when the rebuild ends.
"""

import os
import select
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from analytics.generation import NEXT, Generation
from analytics.models import GenerationChoice
from analytics.rebuild.aside import SCHEMA
from analytics.rebuild.filler import SECOND, SESSION_STEPS, Filler
from analytics.sessions import compute_sessions
from relay.operations import Refused

_WITH_VISITS, _WITHOUT_VISITS = b"v", b"w"


class Helper:
    """A forked process. All methods are of the process that has forked it."""

    def __init__(self) -> None:
        connection.close()  # both processes would share an open connection
        start, self._start = os.pipe()
        self._result, result = os.pipe()
        self._parent, self._pid = os.getpid(), os.fork()
        if self._pid == 0:
            os.close(self._start)
            os.close(self._result)
            self._serve(start, result)
        os.close(start)
        os.close(result)

    def _serve(self, start: int, result: int) -> None:
        """Wait for the start, walk, and end the process. The result is empty, or the sentence of an error."""
        code = 1
        try:
            if order := os.read(start, 1):
                walk(self._parent, with_visits=order == _WITH_VISITS)
            code = 0
        except Refused as refusal:
            os.write(result, str(refusal).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def start(self, *, with_visits: bool) -> None:
        """Let the process begin its walk, and compute the visits of its keys."""
        os.write(self._start, _WITH_VISITS if with_visits else _WITHOUT_VISITS)

    def check(self) -> None:
        """Check that the process has not failed yet.

        :raises Refused: it has failed.
        """
        if self._pid and select.select([self._result], [], [], 0)[0]:
            self.wait()

    def wait(self) -> None:
        """Wait until the process has reached the end of the outbox.

        :raises Refused: it has failed.
        """
        if not self._pid:
            return
        with os.fdopen(self._result, "rb", closefd=False) as result:
            problem = result.read().decode()
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._pid = 0
        if problem or code:
            raise Refused(
                problem
                or f"the second process of the rebuild ended with the code {code}. Run the rebuild again: it continues"
            )

    def close(self) -> None:
        """End the process if it still runs."""
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)
            os.waitpid(self._pid, 0)
            self._pid = 0
        os.close(self._start)
        os.close(self._result)


@contextmanager
def start_helper(processes: int) -> Iterator[Helper | None]:
    """Yield a helper for two `processes`, None for one."""
    helper = Helper() if processes > 1 else None
    try:
        yield helper
    finally:
        if helper:
            helper.close()


def walk(parent: int, *, with_visits: bool) -> None:
    """Apply the events of the second half of the keys, and compute their visits. End with the process `parent`."""
    choice = GenerationChoice.objects.get()
    filler, choice.events = Filler(Generation(NEXT, SCHEMA, home=choice.other), half=SECOND), 0
    for number, _ in enumerate(filler.walk(choice), start=1):
        if os.getppid() != parent:
            return
        if with_visits and number % SESSION_STEPS == 0:
            compute_sessions(filler.generation)
    if with_visits:
        compute_sessions(filler.generation)
