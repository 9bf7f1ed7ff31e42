"""The actions of `manage.py analytics` for generations: rebuild, switch-back, drop-generation, generations."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from analytics.rebuild.build import rebuild
from analytics.rebuild.choice import changing, drop_other, find_end_of_keeping, read_choice
from analytics.rebuild.filler import Progress
from analytics.rebuild.helper import start_helper
from analytics.rebuild.plan import Plan, make_plan
from analytics.rebuild.switch import switch_back
from relay.operations.audit import demand_reason, name_actor
from relay.process.loop import prepare_for_batches

Write = Callable[[str], Any]
#: Seconds between two lines of progress.
EVERY_SECONDS = 2.0


def add_actions(actions: Any) -> None:
    """Add the actions to the subparsers `actions`."""
    build = actions.add_parser("rebuild", help="build a second set of tables next to the current one, and switch to it")
    build.add_argument("--confirm", action="store_true", help="build and switch; without it, print what it would take")
    build.add_argument("--force", action="store_true", help="switch although sealed days differ")
    build.add_argument(
        "--keep-orders",
        action="store_true",
        help="copy the tables of orders and stock if some of their events are pruned, and compute activity again",
    )
    build.add_argument(
        "--processes",
        type=int,
        choices=(1, 2),
        default=1,
        help="2: use two cores, for a shop that has them idle; default: %(default)s",
    )
    back = actions.add_parser("switch-back", help="let readers read the former generation again")
    drop = actions.add_parser("drop-generation", help="delete the generation that is being built, or the former one")
    for action in (build, back, drop):
        action.add_argument("--reason", default="", help="the reason, which is stored in the audit")
        action.add_argument("--actor", default=name_actor(), help="your name for the audit; default: %(default)s")
    actions.add_parser("generations", help="show which generation readers read, and the state of the other one")


def run_rebuild(write: Write, options: dict[str, Any]) -> None:
    """Print the plan, or build and switch.

    :raises SystemExit: with code 1, if sealed days differ.
    """
    if not options["confirm"]:
        for line in describe_plan(make_plan(keep_orders=options["keep_orders"])):
            write(line)
        return
    os.nice(10)  # a web process that has work to do goes first
    prepare_for_batches()
    meter = Meter(write)
    with start_helper(options["processes"]) as helper:
        is_done = rebuild(
            actor=options["actor"],
            reason=options["reason"],
            force=options["force"],
            keep_orders=options["keep_orders"],
            helper=helper,
            report=write,
            note=meter.show,
        )
    if not is_done:
        raise SystemExit(1)


def describe_plan(plan: Plan) -> list[str]:
    """Return the lines of a dry run."""
    speed = "no event to measure the speed with"
    if plan.rate:
        speed = f"about {_tell(plan.seconds)} at {plan.rate:,.0f} events/s, and longer while orders come in"
    return [
        f"events    {plan.events:,}",
        *_describe_sources(plan),
        f"duration  {speed}",
        f"disk      about {plan.megabytes:,.0f} MB until the former generation is deleted, a day after the switch",
        "nothing was changed: run it with --confirm --reason TEXT",
    ]


def _describe_sources(plan: Plan) -> list[str]:
    """Return a line for each source, if the outbox lacks events."""
    lines = []
    if plan.tables or plan.archive:
        lines += [f"          {plan.outbox:,} from the outbox", f"          {plan.tables:,} activities from the tables"]
        lines.append(f"          {plan.archive:,} activities from the archive")
    if plan.kept:
        lines.append(f"copied    the tables of orders and stock, because {plan.kept}")
    return lines


class Meter:
    """Prints the progress of a build every EVERY_SECONDS."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        """Print a line if it is time, or if the walk is at its end."""
        if time.monotonic() < self._next and progress.position < progress.target:
            return
        self._next = time.monotonic() + EVERY_SECONDS
        end = "more events arrive than are applied"
        if progress.seconds is not None:
            moment = timezone.now() + timedelta(seconds=progress.seconds)
            end = f"ends about {moment:%H:%M:%S} UTC"
        share = 100 * progress.position / max(progress.target, 1)
        self._write(f"{progress.events:,} events, {share:.0f} %, {progress.rate:,.0f} events/s, {end}")


def run_switch_back(write: Write, options: dict[str, Any]) -> None:
    """Switch to the former generation."""
    demand_reason(options["reason"])
    with changing():
        schema, applied = switch_back(actor=options["actor"], reason=options["reason"])
    write(f"readers read the schema {schema} again; it had to apply {applied} events during the switch")


def run_drop(write: Write, options: dict[str, Any]) -> None:
    """Delete the other generation."""
    demand_reason(options["reason"])
    with changing():
        choice = read_choice()
        drop_other(choice, actor=options["actor"], reason=options["reason"])
    write(f"deleted the generation in the schema {choice.other}")


def describe_generations() -> tuple[dict[str, Any], list[str]]:
    """Return the state of the generations, and lines about it."""
    choice = read_choice()
    end = find_end_of_keeping(choice)
    figures = {
        "schema": choice.schema,
        "other": choice.other,
        "kept_until": end,
        "position": choice.position,
        "target": choice.target,
        "events": choice.events,
        "rate": choice.rate,
        "beat_at": choice.beat_at,
        "is_restoring": choice.is_restoring,
        "restored_day": choice.restored_day,
    }
    lines = [f"readers read the schema {choice.schema}"]
    if end:
        lines.append(f"the former generation in {choice.other} is kept until {end:%Y-%m-%d %H:%M} UTC: switch-back")
    elif choice.other:
        share = 100 * choice.position / max(choice.target, 1)
        beat = f"last progress at {choice.beat_at:%Y-%m-%d %H:%M:%S} UTC" if choice.beat_at else "no progress yet"
        lines.append(f"a generation is built in {choice.other}: {choice.events:,} events, {share:.0f} %, {beat}")
        if choice.is_restoring:
            lines.append(
                f"activity that the outbox has no longer is restored up to {choice.restored_day or 'no day yet'}"
            )
        lines.append("if its process has ended, run the rebuild again: it continues")
    return figures, lines


def _tell(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
