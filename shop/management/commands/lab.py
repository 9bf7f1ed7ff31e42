import json
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = (
        "Compare this shop with the synchronous shop that it replaces: list the scenarios, run one of them in the"
        " running shop (`LAB=1 make up`), or write the report of finished runs."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the actions list, run and report."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="List the scenarios.")
        run = actions.add_parser("run", help="Run a scenario and print its figures.")
        run.add_argument("name", help="A scenario, or `all` for all scenarios of the report.")
        run.add_argument("--rate", type=float, default=20.0, help="Orders per real second to each shop (default: 20).")
        run.add_argument(
            "--factor", type=int, default=10, help="1, 10 or 60: divides the synchronous shop's seconds (default: 10)."
        )
        run.add_argument("--seconds", type=float, help="Shop seconds of arrivals. The default is the scenario's.")
        run.add_argument("--seed", type=int, default=1, help="Decides times and goods of all orders (default: 1).")
        run.add_argument("--json", action="store_true", help="Print all figures as JSON.")
        actions.add_parser("work", help="Carry out the wanted runs until SIGTERM. `LAB=1 make up` starts this process.")
        report = actions.add_parser("report", help="Write the report of the newest finished run of each scenario.")
        report.add_argument("file", type=Path)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Do the action.

        :raises CommandError: the lab is off, a value is wrong, or a goal of the scenario was missed.
        """
        if not settings.LAB:
            raise CommandError("the lab is off: set LAB=1, here and for `manage.py up`")
        getattr(self, f"_{action}")(**options)

    def _list(self, **options: Any) -> None:
        from shop.lab.scenarios import SCENARIOS

        for name, scenario in SCENARIOS.items():
            self.stdout.write(f"{name:<14} {scenario.seconds / 60:4.0f} min  {scenario.text}")

    def _work(self, **options: Any) -> None:
        from relay.process.loop import stop_on_signals
        from shop.lab.runner import Laboratory

        Laboratory(stop_on_signals()).work()

    def _run(self, *, name: str, **options: Any) -> None:
        from shop.lab.scenarios import REPORTED

        missed = [one for one in (REPORTED if name == "all" else [name]) if not self._run_one(one, **options)]
        if missed:
            raise CommandError(f"a goal was missed in: {', '.join(missed)}")

    def _run_one(
        self, name: str, *, rate: float, factor: int, seconds: float | None, seed: int, **options: Any
    ) -> bool:
        """Run one scenario, print its figures, and return whether all goals were reached."""
        from shop.embedded import run_files
        from shop.lab import runs
        from shop.lab.figures import describe
        from shop.lab.schema import create_tables

        if not run_files.supervisor_lives() or "lab" not in run_files.read_parts():
            raise CommandError(f"no `LAB=1 manage.py up` uses {settings.VAR_DIR}: start it, or set VAR_DIR and PORT")
        create_tables()
        try:
            run_id = runs.request_run(name, rate=rate, factor=factor, seconds=seconds, seed=seed, watched=False)
        except runs.Refused as error:
            raise CommandError(str(error)) from error
        run = self._follow(run_id)
        if options["json"]:
            self.stdout.write(json.dumps(describe(run)))
        if run.state != "done" or run.result is None:
            raise CommandError(f"the run {run.id} of {name} ended as {run.state}: {run.step}")
        if not options["json"]:
            self._print(name, run.result["goals"])
        return all(goal["reached"] for goal in run.result["goals"])

    def _follow(self, run_id: int) -> Any:
        """Wait for the end of a run; Ctrl-C and SIGTERM stop the run."""
        from shop.lab import runs

        step = ""
        try:
            while (run := runs.read_run(run_id)).is_live:
                if run.step != step:
                    step = run.step
                    self.stderr.write(f"{run.scenario}: {step}")
                time.sleep(0.5)
        except BaseException:
            runs.request_stop()
            raise
        return run

    def _print(self, name: str, goals: list[dict[str, Any]]) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(name))
        for goal in goals:
            style = self.style.SUCCESS if goal["reached"] else self.style.ERROR
            self.stdout.write(
                f"  {style('reached' if goal['reached'] else 'missed '):<9} {goal['goal']}: {goal['found']}"
            )

    def _report(self, *, file: Path, **options: Any) -> None:
        from shop.lab.report import write_report

        if not (names := write_report(file)):
            raise CommandError("no scenario has a finished run: run one with `manage.py lab run NAME`")
        self.stdout.write(f"{file}: {', '.join(names)}")
