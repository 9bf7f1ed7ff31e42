"""The result of a run: what happened on the way, the checks at the end, and each goal with the figure that was found."""

import io
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from django.core.management import call_command
from django.db import connection

from relay.operations.mend import redrive
from relay.operations.parked import Selection, list_parked
from shop.embedded import run_files
from shop.lab import runs
from shop.lab.figures import Sums, read_seconds, read_sums
from shop.lab.goals import find_goals
from shop.lab.scenarios import PIECES, Plan
from shop.lab.seed.queue import simulate

ACTOR = "the lab"
#: Our shop has caught up when at most the orders of this many seconds wait.
USUAL_SECONDS = 2.0
VERIFY_SECONDS = 120


@dataclass(slots=True)
class Progress:
    """What happened during a run. Times are real seconds since its start."""

    is_fixed: bool = False
    is_redriven: bool = False
    parked: int = 0
    redriven_at: float | None = None
    joined_at: float | None = None
    caught_up_at: float | None = None
    known_before: int = 0
    drained_at: float | None = None
    running_at: float | None = None
    predicted: float | None = None
    most_waiting: int = 0

    def note(self, now: float, waiting: dict[str, int], switches: list[runs.Switch], rate: float) -> None:
        """Note when our shop has caught up after the last switch, and what the control room has predicted."""
        ours = waiting.get("ours", 0)
        self.most_waiting = max(self.most_waiting, ours)
        off = [switch for switch in switches if switch.off_at]
        if not off:
            return
        if any(switch.on_at is None for switch in off):
            self.drained_at = self.running_at = None
            self.predicted = predict(off[-1].part)
        elif all(switch.running_at for switch in off):
            self.running_at = self.running_at if self.running_at is not None else now
            if self.drained_at is None and ours <= USUAL_SECONDS * rate:
                self.drained_at = now

    def replace_consumer(self, consumer: str, seconds: float) -> None:
        """Let the supervisor stop a consumer: one with a bug takes its place."""
        run_files.stop_until(consumer, time.time() + seconds + 30)

    def restore_consumer(self, consumer: str) -> None:
        """Count what the bug has parked, and let the supervisor start the fixed consumer."""
        self.parked = len(list_parked(Selection(consumer=consumer)))
        (run_files.STOPPED / consumer).unlink(missing_ok=True)
        self.is_fixed = True

    def redrive(self, consumer: str, now: float) -> None:
        """Redrive the parked keys of the fixed consumer."""
        redrive(Selection(consumer=consumer), actor=ACTOR, reason="the lab has deployed the fix")
        self.is_redriven, self.redriven_at = True, now

    def join(self, run_id: int, now: float) -> None:
        """Note that the late consumer starts."""
        self.joined_at = now
        self.known_before = read_number("select count(*) from lab_seed.sale where run = %s", run_id)

    def has_caught_up(self, run_id: int, now: float) -> bool:
        """Return whether the late consumer knows every order of the run."""
        missing = read_number(
            "select count(*) from lab.request r where run = %s and shop = 'ours' and outcome = 'ok'"
            " and not exists (select from lab.latecomer l where l.run = r.run and l.order_id = r.order_id)",
            run_id,
        )
        if not missing and self.caught_up_at is None:
            self.caught_up_at = now
        return not missing


def predict(part: str) -> float | None:
    """Return the seconds that the control room predicts for the consumer `part`, if it came back now."""
    from shop.control.pages import read_newest
    from shop.control.rates import predict_drain

    sample, _ = read_newest()
    return predict_drain(sample.figures, part) if sample and sample.figures else None


def read_number(statement: str, run_id: int) -> int:
    """Return the single number that `statement` finds for a run."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [run_id])
        return int(cursor.fetchone()[0] or 0)


def find_result(run: runs.Run, plan: Plan, progress: Progress) -> dict[str, Any]:
    """Verify the shop, and return the result of a run with its goals."""
    sums = read_sums(run.id)
    found: dict[str, Any] = {
        "shops": {shop: asdict(figures) for shop, figures in sums.items()},
        "verify": run_verify(),
        "ledger": read_ledger(),
        "progress": asdict(progress),
    }
    found["drain"] = describe_drain(run, progress)
    if plan.has_queue:
        found["queue"] = describe_queue(run, sums)
    if plan.joins_at is not None:
        found["latecomer"] = describe_latecomer(run, progress)
    if plan.is_flash:
        found["flash"] = describe_flash(run, sums)
    if plan.last_rate:
        found["ramp"] = describe_ramp(run, plan)
    found["goals"] = find_goals(run, plan, found)
    return found


def run_verify() -> dict[str, Any]:
    """Return the report of `manage.py verify`."""
    output = io.StringIO()
    try:
        call_command("verify", wait=VERIFY_SECONDS, json=True, stdout=output, stderr=io.StringIO())
    except SystemExit:
        pass  # there are differences, and the report names them
    report: dict[str, Any] = json.loads(output.getvalue())
    return {"ok": report["ok"], "in_flight": report["in_flight"], "differences": report["differences"][:20]}


def read_ledger() -> Any:
    """Return the control room's ledger, or None while the control room offers none."""
    from shop.control.pages import describe, read_newest

    sample, age = read_newest()
    return describe(sample, age).get("ledger") if sample else None


def describe_drain(run: runs.Run, progress: Progress) -> dict[str, Any] | None:
    """Return how long our shop needed after the last switch, in real seconds."""
    ends = [switch.ends for switch in runs.read_switches(run.id) if switch.off_at]
    if not ends or progress.drained_at is None:
        return None
    return {
        "seconds": round(progress.drained_at - max(ends), 1),
        "start_seconds": round((progress.running_at or max(ends)) - max(ends), 1),
        "predicted": progress.predicted,
        "most_waiting": progress.most_waiting,
    }


def describe_queue(run: runs.Run, sums: dict[str, Sums]) -> dict[str, Any]:
    """Return the drain of the retry queue in shop minutes: as arithmetic says, simulated, and as it begins here."""
    switch = runs.read_switches(run.id)[0]
    outage = (switch.ends - switch.starts) * run.factor
    return {"outage_minutes": outage / 60, **asdict(simulate(run.rate, outage, run.seed)), **sums["queue"].more}


def describe_latecomer(run: runs.Run, progress: Progress) -> dict[str, Any]:
    """Return what a consumer that joins late knows in each shop, and what an undisturbed control knows."""
    statement = "select coalesce(sum(total), 0) from lab.{} where run = %s and {}"
    mine = "exists (select from lab.request r where r.run = l.run and r.shop = 'ours' and r.order_id = l.order_id)"
    return {
        "orders": read_number(f"select count(*) from lab.latecomer l where run = %s and {mine}", run.id),  # noqa: S608
        "revenue": read_number(statement.format("latecomer l", mine), run.id),
        "control_orders": read_number("select count(*) from lab.request where run = %s and shop = 'ours'", run.id),
        "control_revenue": read_number(statement.format("request", "shop = 'ours'"), run.id),
        "all_orders": read_number("select count(*) from lab.latecomer where run = %s", run.id),
        "seed_orders": read_number("select count(*) from lab_seed.sale where run = %s", run.id) - progress.known_before,
        "seconds": None
        if progress.caught_up_at is None or progress.joined_at is None
        else round(progress.caught_up_at - progress.joined_at, 1),
    }


def describe_flash(run: runs.Run, sums: dict[str, Sums]) -> dict[str, Any]:
    """Return the sold and oversold pieces and the answers per real second of both shops."""
    ours, seed = sums["ours"], sums["seed"]
    sold, seed_sold = ours.more["confirmed"], seed.more["stored"]
    return {
        "pieces": PIECES,
        "ours": {
            "sold": sold,
            "oversold": max(0, sold - PIECES),
            "answers_per_second": round(ours.answered / ours.span),
        },
        "seed": {"sold": seed_sold, "oversold": max(0, seed_sold - PIECES)}
        | {"answers_per_second": round(seed.answered / seed.span)},
    }


def describe_ramp(run: runs.Run, plan: Plan) -> dict[str, Any]:
    """Return the highest rate that each shop answered, in orders per real second.

    A shop is saturated in the first window of five seconds in which it answers less than 90 % of the orders well.
    """
    stream = plan.make_stream(run.seed, "")
    found: dict[str, Any] = {}
    for shop, seconds in read_seconds(run.id).items():
        windows: dict[int, list[dict[str, Any]]] = {}
        for row in seconds:
            if row["second"] < plan.seconds:
                windows.setdefault(row["second"] // 5, []).append(row)
        best = max((sum(row["ok"] for row in rows) / 5 for rows in windows.values()), default=0.0)
        full = next((n for n, rows in sorted(windows.items()) if _is_saturated(rows)), None)
        found[shop] = {
            "best": round(best, 1),
            "saturated_at": None if full is None else round(stream.find_rate(full * 5)),
        }
    found["seed"]["capacity"] = read_capacity(run, plan)
    return found


def _is_saturated(rows: list[dict[str, Any]]) -> bool:
    return sum(row["ok"] for row in rows) < 0.9 * sum(row["asked"] for row in rows) - 5


def read_capacity(run: runs.Run, plan: Plan) -> float:
    """Return the orders per real second that the synchronous shop stored in its ten best successive seconds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(max(number), 0) / 10.0 from (select sum(count(*)) over"
            " (order by floor(extract(epoch from at)) range between current row and 9 following) as number"
            " from lab_seed.placed where run = %s group by floor(extract(epoch from at))) as windows",
            [run.id],
        )
        return float(cursor.fetchone()[0])
