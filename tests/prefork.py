"""Commands in the running shop's environment without the start-up time of Python and Django.

A process that has loaded Django forks a child for each command. The child opens its own connections after the fork.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent


class Prefork:
    """A process that has loaded Django. It runs one command at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.prefork"],
            cwd=BASE_DIR,
            env={**environment, "DJANGO_SETTINGS_MODULE": "shop.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, point: str = "", timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run a management command or `celery …` and return its result. Kill the command after `timeout` seconds.

        With `point` the command fails at this point (see tests.faults.failing).
        """
        assert self._process.stdin and self._process.stdout
        with tempfile.NamedTemporaryFile("r") as output, tempfile.NamedTemporaryFile("r") as errors:
            request = {"arguments": arguments, "point": point, "timeout": timeout}
            files = {"output": output.name, "errors": errors.name}
            self._process.stdin.write(json.dumps(request | files) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, "the preloaded process has ended unexpectedly"
            return subprocess.CompletedProcess(arguments, json.loads(answer), output.read(), errors.read())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def serve() -> None:
    """Run the command of each request on standard input and print its exit code, negative after a signal."""
    import django

    django.setup()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run_child(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run_child(request: dict[str, Any]) -> None:
    """Run one command in this forked process and end it."""
    import signal

    from tests.faults.failing import fail_at, run_command

    for descriptor, name in ((1, request["output"]), (2, request["errors"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), descriptor)
    os.setsid()
    signal.alarm(int(request["timeout"]) + 1)  # SIGALRM ends the process
    code = 1
    try:
        if request["point"]:
            fail_at(request["point"])
        run_command(*request["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
