"""Makes a command kill itself (kill -9) at a point where a crash is worst.

A point is a label of relay.failpoint, or gateway.charged: after the gateway has charged, before that is written down.
"""

import os
import signal
from typing import Any, NoReturn


def kill_self() -> NoReturn:
    """kill -9: nothing is flushed, closed or rolled back by this process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def die_at(point: str) -> None:
    """Install the crash in this process."""
    if point == "gateway.charged":
        from payments.sandbox import SandboxGateway

        authorize = SandboxGateway.authorize

        def charge_and_die(gateway: SandboxGateway, *args: Any, **kwargs: Any) -> NoReturn:
            authorize(gateway, *args, **kwargs)
            kill_self()

        SandboxGateway.authorize = charge_and_die  # type: ignore[method-assign, assignment]
        return
    from relay import failpoint

    def die(label: str) -> None:
        if label == point:
            kill_self()

    failpoint.hook = die


def run_command(command: str, *arguments: str) -> None:
    """Run a management command, or a command of Celery, as its own command line would."""
    if command == "celery":
        from shop.celery import app

        app.worker_main(list(arguments))
    else:
        from django.core.management import ManagementUtility

        ManagementUtility(["manage.py", command, *arguments]).execute()
