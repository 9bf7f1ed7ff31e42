"""Runs as rows: pages and commands write wishes, and the lab's process carries them out."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from shop.lab.scenarios import SCENARIOS

#: A run that a page started ends when no page has looked for this time.
UNWATCHED_SECONDS = 60.0
FACTORS = (1, 10, 60)
#: Limits of the load: orders per real second, real seconds of arrivals, and orders to each shop.
MOST_RATE, MOST_SECONDS, MOST_ORDERS = 100.0, 1800.0, 40_000
LIVE_STATES = ("wanted", "running", "checking")
_COLUMNS = (
    "id, scenario, state, rate, factor, seed, seconds, wanted_at, started_at, ended_at, watched_at, stop_wanted, step,"
    " result"
)


class Refused(ValueError):
    """The lab does not do this. The message says why, with the value."""


@dataclass(frozen=True, slots=True)
class Run:
    """A row of lab.run."""

    id: int
    scenario: str
    state: str
    rate: float
    factor: int
    seed: int
    seconds: float
    wanted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    watched_at: datetime | None
    stop_wanted: bool
    step: str
    result: dict[str, Any] | None

    @property
    def is_live(self) -> bool:
        """Return whether the run waits or works."""
        return self.state in LIVE_STATES


def check_run(scenario: str, rate: float, factor: int, seconds: float) -> None:
    """Check the values of a run.

    :raises Refused: a value is unknown or beyond a limit.
    """
    if scenario not in SCENARIOS:
        raise Refused(f"There is no scenario {scenario!r}. Choose one of {', '.join(SCENARIOS)}.")
    if factor not in FACTORS:
        raise Refused(f"The time factor {factor} is unknown. Choose 1, 10 or 60.")
    if not 0.5 <= rate <= MOST_RATE:
        raise Refused(f"The rate {rate:g} is not between 0.5 and {MOST_RATE:g} orders per second.")
    if not 0 < seconds / factor <= MOST_SECONDS:
        raise Refused(
            f"{seconds:g} shop seconds at time factor {factor} take {seconds / factor:g} s. The limit is"
            f" {MOST_SECONDS:g} s."
        )
    if (orders := SCENARIOS[scenario].plan(rate, factor, seconds).count_orders()) > MOST_ORDERS:
        raise Refused(f"The run would place about {orders:,.0f} orders. The limit is {MOST_ORDERS:,}.")


def request_run(
    scenario: str, *, rate: float = 20, factor: int = 10, seconds: float | None = None, seed: int = 1, watched: bool
) -> int:
    """Store the wish for a run and return its id. A `watched` run ends when no page looks at it any more.

    :raises Refused: a value is wrong, or another run is live.
    """
    if scenario in SCENARIOS and seconds is None and rate > 0:
        # A run without an own duration keeps the limits: a free run ends at one of them.
        seconds = min(SCENARIOS[scenario].seconds, MOST_SECONDS * factor, 0.9 * MOST_ORDERS / rate * factor)
    check_run(scenario, rate, factor, seconds or 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into lab.run (scenario, rate, factor, seed, seconds, watched_at)"
            " select %s, %s, %s, %s, %s, case when %s then clock_timestamp() end"
            " where not exists (select from lab.run where state = any(%s)) returning id",
            [scenario, rate, factor, seed, seconds, watched, list(LIVE_STATES)],
        )
        row = cursor.fetchone()
    if row is None:
        raise Refused("Another run is live. Stop it, or wait for its end.")
    return int(row[0])


def take_wanted() -> Run | None:
    """Start the oldest wanted run and return it, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update lab.run set state = 'running', started_at = clock_timestamp() where id ="
            " (select id from lab.run where state = 'wanted' order by id limit 1 for update skip locked) returning id"
        )
        row = cursor.fetchone()
    return read_run(row[0]) if row else None


def read_run(run_id: int) -> Run:
    """Return a run."""
    return read_runs("id = %s", [run_id])[0]


def read_newest() -> Run | None:
    """Return the newest run, or None."""
    found = read_runs("true", [], limit=1)
    return found[0] if found else None


def read_runs(condition: str, values: list[Any], limit: int = 20) -> list[Run]:
    """Return the newest runs that match the SQL `condition`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"select {_COLUMNS} from lab.run where {condition} order by id desc limit %s",  # noqa: S608 - our own text
            [*values, limit],
        )
        rows = cursor.fetchall()
    return [Run(*[*row[:-1], json.loads(row[-1]) if isinstance(row[-1], str) else row[-1]]) for row in rows]


def update_run(run_id: int, **columns: Any) -> None:
    """Set columns of a run. The value `now` is the database's time."""
    if "result" in columns:
        columns["result"] = json.dumps(columns["result"])
    names = ", ".join(f"{name} = {'clock_timestamp()' if value == 'now' else '%s'}" for name, value in columns.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"update lab.run set {names} where id = %s",  # noqa: S608 - our own text
            [*(value for value in columns.values() if value != "now"), run_id],
        )


def begin(run_id: int, seconds: float) -> None:
    """Store that the first order of a run may be due in `seconds`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update lab.run set started_at = clock_timestamp() + make_interval(secs => %s) where id = %s",
            [seconds, run_id],
        )


def request_stop() -> None:
    """Let the live run stop."""
    with connection.cursor() as cursor:
        cursor.execute("update lab.run set stop_wanted = true where state = any(%s)", [list(LIVE_STATES)])


def note_watcher() -> None:
    """Record that a page looks at the live run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update lab.run set watched_at = clock_timestamp() where state = any(%s) and watched_at is not null",
            [list(LIVE_STATES)],
        )


def must_stop(run_id: int) -> bool:
    """Return whether the run must stop: on request, or because no page has watched it for UNWATCHED_SECONDS."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select stop_wanted or coalesce(watched_at < clock_timestamp() - make_interval(secs => %s), false)"
            " from lab.run where id = %s",
            [UNWATCHED_SECONDS, run_id],
        )
        return bool(cursor.fetchone()[0])


def end_leftovers() -> int:
    """Mark the runs of a lab process that was killed. Return their number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update lab.run set state = 'failed', ended_at = clock_timestamp(),"
            " step = 'the process of the lab ended during the run; all parts were switched on again'"
            " where state in ('running', 'checking')"
        )
        return int(cursor.rowcount)
