"""The result of a run: the checks at the end, and each goal with the figure that was found."""

import io
import json
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.models import Q

from shop.lab import runs
from shop.lab.figures import Sums, read_seconds, read_sums
from shop.lab.goals import SEED_SECONDS, find_goals
from shop.lab.progress import Progress, read_number
from shop.lab.scenarios import PIECES, Plan
from shop.lab.seed.queue import simulate
from shop.lab.switches import Switch, read_switches

#: Times of one order in a window of `read_capacity`.
SPANS = 5
#: Longest wait until nothing is in flight, and until the control room has noted the end of a drain.
VERIFY_SECONDS, OUTAGE_SECONDS = 120, 15


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
    if run.scenario == "analytics":
        found["analytics"] = describe_analytics(run, plan, sums)
    if plan.is_flash:
        found["flash"] = describe_flash(run, sums)
    if plan.last_rate:
        found["ramp"] = describe_ramp(run, plan)
    found["goals"] = find_goals(run, plan, found)
    return found


def run_verify() -> dict[str, Any]:
    """Return the report of `manage.py verify`."""
    output = io.StringIO()
    with suppress(SystemExit):  # there are differences, and the report names them
        call_command("verify", wait=VERIFY_SECONDS, json=True, stdout=output, stderr=io.StringIO())
    report: dict[str, Any] = json.loads(output.getvalue())
    return {"ok": report["ok"], "in_flight": report["in_flight"], "differences": report["differences"][:20]}


def read_ledger() -> Any:
    """Return the control room's ledger, or None while the control room offers none."""
    from shop.control.pages import describe, read_newest

    sample, age = read_newest()
    return describe(sample, age).get("ledger") if sample else None


def describe_drain(run: runs.Run, progress: Progress) -> dict[str, Any] | None:
    """Return how long our shop needed after the last switch, in real seconds, and what the control room predicted."""
    switches = [switch for switch in read_switches(run.id) if switch.off_at]
    if not switches or progress.drained_at is None:
        return None
    last = max(switches, key=lambda switch: switch.ends)
    return {
        "seconds": round(progress.drained_at - last.ends, 1),
        "start_seconds": round((progress.running_at or last.ends) - last.ends, 1),
        "most_waiting": progress.most_waiting,
        "predictions": read_predictions(last),
    }


def read_predictions(switch: Switch) -> dict[str, float | None] | None:
    """Return the predicted and the actual drain of a consumer by the control room's clock, or None without an outage.

    The clock runs from the consumer's return until nothing waits for it. `away` was predicted while it was off, `back`
    five seconds after its return; both are None until an earlier outage has taught the control room.
    """
    from shop.control.models import Outage

    deadline = time.monotonic() + OUTAGE_SECONDS
    # The supervisor may start the consumer before the lab notes that it is on.
    not_before = Q(ended_at=None) | Q(ended_at__gt=switch.on_at)
    while True:
        outage = Outage.objects.filter(not_before, consumer=switch.part).order_by("began_at").last()
        if outage is None:
            return None
        if outage.ended_at or time.monotonic() > deadline:
            break
        time.sleep(1)
    return {"away": outage.predicted_away, "back": outage.predicted_back, "actual": outage.drain_seconds}


def describe_queue(run: runs.Run, sums: dict[str, Sums]) -> dict[str, Any]:
    """Return the drain of the retry queue in shop minutes: as arithmetic says, simulated, and as it begins here."""
    switch = read_switches(run.id)[0]
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


def describe_analytics(run: runs.Run, plan: Plan, sums: dict[str, Sums]) -> dict[str, Any]:
    """Return what analytics knows in each shop. The control is the stream: an undisturbed shop knows all of it."""
    control = list(plan.make_stream(run.seed, ""))
    return {
        "control": {"orders": len(control), "revenue": sum(arrival.total for arrival in control)},
        **{
            shop: {"orders": sums[shop].more["sales_known"], "revenue": sums[shop].more["revenue_known"]}
            for shop in ("ours", "seed")
        },
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
    found["seed"]["capacity"] = read_capacity(run)
    return found


def _is_saturated(rows: list[dict[str, Any]]) -> bool:
    answered, asked = (sum(row[name] for row in rows) for name in ("ok", "asked"))
    return bool(answered < 0.9 * asked - 5)


def read_capacity(run: runs.Run) -> float:
    """Return the orders per real second that the synchronous shop stored in its best window of SPANS times 6 s.

    Its workers finish in bursts, so a window that is no multiple of the time of an order would count a burst too many.
    """
    seconds = SPANS * SEED_SECONDS / run.factor
    with connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(max(number), 0) from (select count(*) over"
            " (order by at range between current row and make_interval(secs => %s) following) as number"
            " from lab_seed.placed where run = %s) as windows",
            [seconds * 0.999, run.id],
        )
        return float(cursor.fetchone()[0] / seconds)
