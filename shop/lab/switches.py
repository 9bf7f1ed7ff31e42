"""The switches of a run as rows: which part is off in both shops, from when to when."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from shop.lab.runs import Refused
from shop.lab.scenarios import Plan


@dataclass(frozen=True, slots=True)
class Switch:
    """A part that is off in both shops from `starts` to `ends`, in real seconds since the run's start."""

    id: int
    part: str
    starts: float
    ends: float
    off_at: datetime | None
    on_at: datetime | None
    running_at: datetime | None


def store_plan(run_id: int, plan: Plan) -> None:
    """Store the switches of a plan."""
    for part, starts, ends in plan.switches:
        add_switch(run_id, part, starts, ends)


def add_switch(run_id: int, part: str, starts: float, ends: float) -> None:
    """Store a switch of a run, in real seconds since its start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into lab.switch (run, part, starts, ends) values (%s, %s, %s, %s)", [run_id, part, starts, ends]
        )


def switch_now(part: str, minutes: float) -> None:
    """Switch `part` off in both shops for `minutes` of shop time, in the live run.

    :raises Refused: no run is live, or the part is off already.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into lab.switch (run, part, starts, ends)"
            " select id, %(part)s, now.second, now.second + %(minutes)s * 60.0 / factor from lab.run,"
            "  lateral (select extract(epoch from clock_timestamp() - started_at)::float8 as second) as now"
            " where state = 'running' and not exists (select from lab.switch s where s.run = lab.run.id"
            "  and s.part = %(part)s and s.starts <= now.second and s.ends > now.second) returning id",
            {"part": part, "minutes": minutes},
        )
        if cursor.fetchone() is None:
            raise Refused(f"{part} can't be switched off now: no run is live, or {part} is off already.")


def end_switches(run_id: int, part: str | None = None) -> None:
    """End the switches of a run now, or only the switches of `part`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update lab.switch s set ends = least(ends, extract(epoch from clock_timestamp() - started_at))"
            " from lab.run r where r.id = s.run and r.id = %s and (%s::text is null or part = %s)",
            [run_id, part, part],
        )


def read_switches(run_id: int) -> list[Switch]:
    """Return the switches of a run, the earliest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, part, starts, ends, off_at, on_at, running_at from lab.switch where run = %s"
            " order by starts, id",
            [run_id],
        )
        return [Switch(*row) for row in cursor.fetchall()]


def note_switch(switch_id: int, column: str) -> None:
    """Store the current time in `column` of a switch: off_at, on_at or running_at."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"update lab.switch set {column} = clock_timestamp() where id = %s",  # noqa: S608 - our own text
            [switch_id],
        )
