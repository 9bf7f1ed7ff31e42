"""Runs a command that kills itself (kill -9) at a point where a crash is worst.

    python -m tests.faults.failing POINT COMMAND [ARGUMENT ...]

POINT is a label of relay.failpoint, or gateway.charged: after the gateway has charged, before that is written down.
"""

import os
import signal
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")


def die_at(point: str) -> None:
    """Install the crash."""
    import django

    django.setup()
    if point == "gateway.charged":
        from payments.sandbox import SandboxGateway

        authorize = SandboxGateway.authorize

        def charge_and_die(gateway: SandboxGateway, *args: Any, **kwargs: Any) -> Any:
            authorize(gateway, *args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        SandboxGateway.authorize = charge_and_die  # type: ignore[method-assign, assignment]
        return
    from relay import failpoint

    def die(label: str) -> None:
        if label == point:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoint.hook = die


def main() -> None:
    """Install the crash and run the command."""
    point, command, *arguments = sys.argv[1:]
    die_at(point)
    if command == "celery":
        from shop.celery import app

        app.worker_main(arguments)
        return
    from django.core.management import call_command

    call_command(command, *arguments)


if __name__ == "__main__":
    main()
