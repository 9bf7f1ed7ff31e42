"""The lab's process: takes one wanted run after the other, carries it out and stores its result.

It has one thread, because it forks. It reverts all switches at the end of each run, also after an error. If this
process is killed, the supervisor starts it again, and it reverts them then. A switch ends without this process, too.
"""

import logging
import threading
import time
from multiprocessing.process import BaseProcess
from typing import Any

from django.db import close_old_connections

from relay.heartbeat import Pulse
from shop.lab import runs
from shop.lab.consumers import BROKEN, forget_latecomer, run_broken_consumer, run_latecomer
from shop.lab.figures import note_backlog
from shop.lab.goods import prepare_goods
from shop.lab.load import Target, run_load
from shop.lab.processes import SeedShop, end, fork
from shop.lab.progress import Progress
from shop.lab.results import find_result
from shop.lab.scenarios import SCENARIOS, Plan
from shop.lab.schema import create_tables
from shop.lab.switchboard import Switchboard, is_running, revert_all
from shop.lab.switches import end_switches, read_switches, store_plan

logger = logging.getLogger(__name__)
ROUND_SECONDS = 0.2
#: Seconds from the start of the processes until the first order may be due.
FIRST_SECONDS = 0.5
#: Longest wait for our shop to finish the orders of a run, in real seconds.
DRAIN_SECONDS = 300.0
#: The patience of our shop's customers in real seconds: our shop's time is never accelerated.
PATIENCE_SECONDS = 30.0


class Stopped(Exception):
    """The run was stopped, or the lab's process must end."""


class Laboratory:
    """Carries out runs until `stopping` is set."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._pulse = Pulse("lab")

    def work(self) -> None:
        """Revert what a killed process has left, then wait for runs."""
        create_tables()
        if reverted := revert_all():
            logger.warning("parts are switched on again", extra={"parts": reverted})
        runs.end_leftovers()
        while not self._stopping.is_set():
            close_old_connections()
            self._pulse.beat()
            if run := runs.take_wanted():
                self._carry_out(run)
            self._stopping.wait(ROUND_SECONDS)

    def _carry_out(self, run: runs.Run) -> None:
        try:
            state, result = Experiment(run, self._stopping, self._pulse).work()
            runs.update_run(run.id, state=state, result=result, ended_at="now", step="")
        except Stopped:
            runs.update_run(run.id, state="stopped", ended_at="now", step="stopped before its end")
        except Exception as error:
            logger.exception("a run of the lab failed")
            runs.update_run(run.id, state="failed", ended_at="now", step=f"{type(error).__name__}: {error}"[:500])


class Experiment:
    """One run."""

    def __init__(self, run: runs.Run, stopping: threading.Event, pulse: Pulse) -> None:
        self._run, self._stopping, self._pulse = run, stopping, pulse
        self._plan: Plan = SCENARIOS[run.scenario].plan(run.rate, run.factor, run.seconds)
        self._seed = SeedShop(run.factor, run.id, run.rate if self._plan.has_queue else 0.0)
        self._children: dict[str, BaseProcess] = {}
        self._noted = -1
        self._waiting: dict[str, int] = {}
        self._progress = Progress()

    def work(self) -> tuple[str, dict[str, Any]]:
        """Carry the run out, and return its last state and its result.

        :raises Stopped: the run was stopped.
        """
        run, plan = self._run, self._plan
        self._tell("preparing both shops")
        product = prepare_goods(run.id, is_flash=plan.is_flash)
        try:
            self._seed.start()
            self._began = time.monotonic() + FIRST_SECONDS
            runs.begin(run.id, FIRST_SECONDS)
            store_plan(run.id, plan)
            self._board = Switchboard(run.id, self._seed, self._began)
            self._children["load"] = fork(run_load, run.id, plan, self._list_targets(), run.seed, product, self._began)
            self._tell("orders arrive")
            while self._children["load"].is_alive():
                self._advance()
            self._drain()
            self._wait_for_latecomer()
        finally:
            self._revert()
        runs.update_run(run.id, state="checking", step="checking: verify compares orders, stock, money and letters")
        return "done", find_result(run, plan, self._progress)

    def _list_targets(self) -> list[Target]:
        from django.conf import settings

        patience = self._plan.patience / self._run.factor
        ours = Target("ours", settings.PORT, max(PATIENCE_SECONDS, patience), "/api/v1/orders/")
        theirs = [Target("seed", self._seed.ports["shop"], patience)]
        if self._plan.has_queue:
            theirs.append(Target("queue", self._seed.ports["queue"], patience))
        return [ours, *theirs]

    def _advance(self) -> None:
        """Do what is due: switches, broken and late consumers, and once per second the backlogs."""
        if self._stopping.is_set() or runs.must_stop(self._run.id):
            raise Stopped
        switches = self._board.advance()
        now = time.monotonic() - self._began
        self._deploy_bug(now)
        self._let_latecomer_join(now)
        if int(now) > self._noted >= -1 and now >= 0:
            self._noted = int(now)
            parts = sorted({switch.part for switch in switches} | ({BROKEN} if self._plan.bug else set()))
            self._waiting = note_backlog(self._run.id, self._noted, parts)
            self._progress.note(now, self._waiting, switches, self._run.rate)
        self._pulse.beat()
        self._stopping.wait(ROUND_SECONDS)

    def _deploy_bug(self, now: float) -> None:
        """Replace the consumer BROKEN by one with a bug while the plan says so, then fix it and redrive."""
        if not self._plan.bug:
            return
        first, last = self._plan.bug
        if "broken" not in self._children and first <= now < last:
            self._seed.deploy_bug(has_bug=True)
            self._progress.replace_consumer(BROKEN, last - now)
            self._children["broken"] = fork(run_broken_consumer)
        elif "broken" in self._children and now >= last and not self._progress.is_fixed:
            self._seed.deploy_bug(has_bug=False)
            end(self._children["broken"])
            self._progress.restore_consumer(BROKEN)
        elif self._progress.is_fixed and not self._progress.is_redriven and is_running(BROKEN):
            self._progress.redrive(BROKEN, now)

    def _let_latecomer_join(self, now: float) -> None:
        if self._plan.joins_at is not None and now >= self._plan.joins_at and "late" not in self._children:
            self._progress.join(self._run.id, now)
            self._children["late"] = fork(run_latecomer, self._run.id)

    def _drain(self) -> None:
        """Wait until our shop has decided every order and each switched consumer has applied its events."""
        self._tell("waiting until this shop has caught up")
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            self._advance()
            switches = read_switches(self._run.id)
            were_off = any(switch.off_at for switch in switches)
            are_on = not were_off or self._progress.drained_at is not None
            is_fixed = not self._plan.bug or self._progress.is_redriven
            if are_on and is_fixed and self._noted > self._plan.seconds and not self._waiting.get("ours"):
                return

    def _wait_for_latecomer(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._plan.joins_at is not None and time.monotonic() < deadline:
            if self._progress.has_caught_up(self._run.id, time.monotonic() - self._began):
                return
            self._advance()

    def _revert(self) -> None:
        """Switch everything on and end all processes of the run, however it ended."""
        end_switches(self._run.id)
        revert_all()
        for process in self._children.values():
            end(process)
        self._seed.stop()
        if self._plan.joins_at is not None:
            forget_latecomer(self._run.id)

    def _tell(self, step: str) -> None:
        runs.update_run(self._run.id, step=step)
