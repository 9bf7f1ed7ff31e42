"""Faults of a command at a critical point.

A point is a label of relay.process.failpoint, or `gateway.charged`: after a charge and before its record.
"""

import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import Any, NoReturn

from django.conf import settings

# Seconds. The long freeze exceeds a relay's lease and a consumer's session, so other processes take over.
FREEZE_SECONDS = {"freeze": 5, "long-freeze": 13}
# A process that continues after its fault is stopped after this time, in seconds: long enough to cause damage.
GOES_ON_SECONDS = 1.5


class Fault(RuntimeError):
    """An unexpected exception."""


@dataclass(frozen=True)
class Point:
    """The place and the kind of a fault: a label; kill, exception, freeze or long-freeze; before or after.

    A fault `before` happens at the label, before the next step. A fault `after` happens after that step, when the same
    thread reaches its next label.
    """

    label: str
    kind: str = "kill"
    when: str = "before"

    def __str__(self) -> str:
        return f"{self.label}/{self.kind}/{self.when}"

    @classmethod
    def parse(cls, text: str) -> "Point":
        """Return the point of a text `label` or `label/kind/when`."""
        return cls(*text.split("/"))


def kill_self() -> NoReturn:
    """Kill this process with SIGKILL, without flushing, closing or rolling back."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def freeze_self(seconds: int) -> None:
    """Suspend the whole process for `seconds`, like a swapping machine or a paused container."""
    subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"], start_new_session=True)
    os.kill(os.getpid(), signal.SIGSTOP)


def fail_at(text: str) -> None:
    """Install the fault of the point `text` in this process. The fault creates the file `fault` in VAR_DIR/run."""
    if text == "gateway.charged":
        _die_after_charging()
        return
    from relay.process import failpoint

    point = Point.parse(text)
    thread: int | None = None
    happened = False

    def fail(label: str) -> None:
        nonlocal happened, thread
        if happened:
            return
        here = threading.get_ident()
        if point.when == "after" and thread != here:
            if label == point.label and thread is None:
                thread = here
            return
        if point.when == "before" and label != point.label:
            return
        happened = True
        (settings.VAR_DIR / "run" / "fault").touch()
        _fail(point)

    failpoint.hook = fail


def _fail(point: Point) -> None:
    if point.kind == "kill":
        kill_self()
    if point.kind in FREEZE_SECONDS:
        freeze_self(FREEZE_SECONDS[point.kind])
    timer = threading.Timer(GOES_ON_SECONDS, os.kill, [os.getpid(), signal.SIGTERM])
    timer.daemon = True
    timer.start()
    if point.kind == "exception":
        raise Fault(str(point))


def _die_after_charging() -> None:
    from payments.gateways.sandbox import SandboxGateway

    authorize = SandboxGateway.authorize

    def charge_and_die(gateway: SandboxGateway, *args: Any, **kwargs: Any) -> NoReturn:
        authorize(gateway, *args, **kwargs)
        kill_self()

    SandboxGateway.authorize = charge_and_die  # type: ignore[method-assign, assignment]


def run_command(command: str, *arguments: str) -> None:
    """Run a management command or a Celery command in this process, like its command line."""
    if command == "celery":
        from shop.celery import app

        app.worker_main(list(arguments))
    else:
        from django.core.management import ManagementUtility

        ManagementUtility(["manage.py", command, *arguments]).execute()
