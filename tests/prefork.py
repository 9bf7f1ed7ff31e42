"""Commands without the start-up time of Python and Django.

A process forks a child for each command. For commands in the environment of a running shop it has loaded Django; the
child opens its own connections after the fork. For commands in other environments it has loaded only the libraries that
read no settings; the child reads the settings.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from tests.processes import kill_family

BASE_DIR = Path(__file__).resolve().parent.parent
#: Libraries of the shop that can be imported before the settings.
_LIBRARIES = (
    *("celery.app", "django.core.management", "django.db.backends.postgresql.base", "django.db.models"),
    *("django.forms", "django.http", "django.test", "environ", "kafka", "kombu.entity", "msgspec", "psycopg"),
    *("requests", "rich.console", "rich.table", "stripe", "structlog.dev"),
)


class Prefork:
    """A process that has loaded Django, or with `libraries_only` no settings. It runs one command at a time."""

    def __init__(self, environment: dict[str, str], *, libraries_only: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.prefork", *(["libraries"] if libraries_only else [])],
            cwd=BASE_DIR,
            env={**environment, "DJANGO_SETTINGS_MODULE": "shop.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *arguments: str,
        point: str = "",
        environment: dict[str, str] | None = None,
        timeout: float = 180,
    ) -> subprocess.CompletedProcess[str]:
        """Run a management command or `celery …` and return its result. Kill the command after `timeout` seconds.

        With `point` the command fails at this point (see tests.faults.failing). With `environment` run manage.py with
        these variables and no others, in a process of `libraries_only`.
        """
        assert self._process.stdin and self._process.stdout
        with tempfile.NamedTemporaryFile("r") as output, tempfile.NamedTemporaryFile("r") as errors:
            request = {"arguments": arguments, "point": point, "timeout": timeout, "environment": environment}
            files = {"output": output.name, "errors": errors.name}
            self._process.stdin.write(json.dumps(request | files) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, "the preloaded process has ended unexpectedly"
            return subprocess.CompletedProcess(arguments, json.loads(answer), output.read(), errors.read())

    def find_children(self) -> list[psutil.Process]:
        """Return the process of the current command, or nothing if no command runs."""
        return psutil.Process(self._process.pid).children()

    def close(self) -> None:
        """End the process. Kill it with the current command if the command does not end within 10 seconds."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            kill_family(self._process)
        self._process.stdout.close()


@cache
def _start_without_settings() -> Prefork:
    prefork = Prefork(dict(os.environ), libraries_only=True)
    atexit.register(prefork.close)
    return prefork


def run_manage(*arguments: str, environment: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run manage.py with the variables of `environment` and no others, and return its result."""
    return _start_without_settings().run(*arguments, environment=environment, timeout=timeout)


def serve() -> None:
    """Run the command of each request on standard input and print its exit code, negative after a signal."""
    import django
    from django.conf import settings

    if sys.argv[1:] == ["libraries"]:
        for library in _LIBRARIES:
            import_module(library)
        assert not settings.configured, "a library has read the settings"
    else:
        django.setup()
    gc.freeze()  # the children do not look at these objects
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

    for descriptor, name in ((1, request["output"]), (2, request["errors"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), descriptor)
    os.setsid()
    signal.alarm(int(request["timeout"]) + 1)  # SIGALRM ends the process
    code = 1
    try:
        if request["environment"] is None:
            run_prepared(request)
        else:
            os.environ.clear()
            os.environ.update(request["environment"])
            sys.argv = ["manage.py", *request["arguments"]]
            runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def run_prepared(request: dict[str, Any]) -> None:
    """Run the request's command, which fails at the request's point, with the loaded settings."""
    from tests.faults.failing import fail_at, run_command

    if request["point"]:
        fail_at(request["point"])
    run_command(*request["arguments"])


if __name__ == "__main__":
    serve()
