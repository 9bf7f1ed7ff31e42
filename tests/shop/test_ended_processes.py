"""Tests end the processes that they have started, also a process that ignores SIGTERM."""

import subprocess
import sys

import psutil
import pytest

from tests.processes import end_process

# Starts a child and prints its pid. The first argument is what SIGTERM does: SIG_DFL or SIG_IGN.
PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("action", "code"), [("SIG_DFL", -15), ("SIG_IGN", -9)])
def test_a_process_that_ignores_sigterm_is_killed_with_its_children(action: str, code: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT, action], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    child = psutil.Process(int(process.stdout.readline()))
    if action == "SIG_DFL":
        child.kill()  # it would keep the pipe open
    end_process(process, seconds=0.5)
    assert process.returncode == code
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
