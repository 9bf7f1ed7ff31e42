"""The end of processes that tests start. A process that hangs must not fail the tests after it."""

import subprocess
from contextlib import suppress
from typing import Any

import psutil


def end_process(process: subprocess.Popen[Any], *, seconds: float = 20) -> Any:
    """Send SIGTERM to `process`, and return its output if it goes to a pipe.

    Kill the process and its descendants if it has not ended after `seconds`.
    """
    process.terminate()
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        kill_family(process)
        return process.communicate()[0]


def kill_family(process: subprocess.Popen[Any]) -> None:
    """Kill `process` and all its descendants, and wait until `process` has ended."""
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(process.pid)
        leader.suspend()  # it starts no more processes
        for descendant in leader.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                descendant.kill()
    process.kill()
    process.wait()
