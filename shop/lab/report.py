"""The report of the lab: one HTML file without scripts and without other files, with the curves and the figures."""

from pathlib import Path
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone

from shop.lab import figures, runs
from shop.lab.charts import draw_charts, find_length
from shop.lab.scenarios import REPORTED, SCENARIOS
from shop.lab.switches import read_switches
from shop.lab.wording import format_money, format_wait, name_shop

_STATIC = Path(__file__).parent / "static" / "lab" / "charts.css"
_TOKENS = Path(__file__).parent.parent / "control" / "static" / "control" / "control.css"


def write_report(file: Path) -> list[str]:
    """Write the newest finished run of each scenario to `file`, and its table in Markdown next to it.

    Return the names of the scenarios.
    """
    found = {run.scenario: run for run in reversed(runs.read_runs("state = 'done'", [], limit=1000))}
    reported = [found[name] for name in REPORTED if name in found]
    if reported:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render_report(reported), encoding="utf-8")
        file.with_suffix(".md").write_text(make_markdown(reported), encoding="utf-8")
    return [run.scenario for run in reported]


def render_report(reported: list[runs.Run]) -> str:
    """Return the report of runs as HTML."""
    return render_to_string(
        "lab/report.html",
        {
            "at": timezone.now(),
            "style": _TOKENS.read_text() + _STATIC.read_text(),
            "rows": [make_row(run) for run in reported],
            "runs": [describe_run(run) for run in reported],
            "missed": sum(not goal["reached"] for run in reported for goal in (run.result or {}).get("goals", [])),
        },
    )


def make_row(run: runs.Run) -> dict[str, Any]:
    """Return the row of a run in the table of figures: one text for each column."""
    sums, result = figures.read_sums(run.id), run.result or {}
    ours, seed, drain = sums["ours"], sums["seed"], result.get("drain")
    return {
        "title": SCENARIOS[run.scenario].title,
        "seed_answered": f"{seed.ok:,} of {seed.asked:,}",
        "seed_p95": format_wait(None if seed.p95 is None else seed.p95 * run.factor),
        "seed_lost": format_money(seed.lost_money) if seed.lost_money else "none",
        "ours_answered": f"{ours.ok:,} of {ours.asked:,}",
        "ours_p95": format_wait(ours.p95),
        "ours_lost": format_money(ours.lost_money) if ours.lost_money else "none",
        "drain": f"{drain['seconds']:g} s" if drain else "",
        "note": make_note(result),
    }


def make_note(result: dict[str, Any]) -> str:
    """Return the figure that matters in one scenario only."""
    if queue := result.get("queue"):
        return (
            f"retry queue: {queue['predicted']:.0f} min predicted, {queue['mean']:.0f} min simulated"
            f" ({queue['shortest']:.0f} to {queue['longest']:.0f})"
        )
    if flash := result.get("flash"):
        return "; ".join(
            f"{who}: {found['sold']} sold, {found['oversold']} oversold, {found['answers_per_second']} answers/s"
            for who, found in (("synchronous", flash["seed"]), ("ours", flash["ours"]))
        )
    if known := result.get("analytics"):
        control, ours, seed = (known[who]["orders"] for who in ("control", "ours", "seed"))
        return f"known afterwards: synchronous {seed:,}, ours {ours:,} of {control:,}"
    if ramp := result.get("ramp"):
        return f"synchronous at most {ramp['seed']['capacity']:.1f} orders/s, ours {ramp['ours']['best']:.0f}"
    if late := result.get("latecomer"):
        return (
            f"the late consumer knows {late['orders']} of {late['control_orders']} orders after {late['seconds']} s;"
            f" synchronous: {late['seed_orders']}"
        )
    seed = result["shops"].get("seed", {}).get("more", {})
    if parked := result["progress"]["parked"]:
        return f"ours: {parked} keys parked, all redriven"
    return (
        f"synchronous: {seed['charged_without_order']} charged without an order"
        if seed.get("charged_without_order")
        else ""
    )


def describe_run(run: runs.Run) -> dict[str, Any]:
    """Return what the report shows of a run."""
    seconds, switches = figures.read_seconds(run.id), read_switches(run.id)
    length = find_length(seconds)
    return {
        "run": run,
        "scenario": SCENARIOS[run.scenario],
        "goals": (run.result or {}).get("goals", []),
        "verify": (run.result or {}).get("verify"),
        "columns": [
            {
                "shop": shop,
                "name": name_shop(shop),
                "charts": draw_charts(seconds[shop], switches, run.factor, length, shop),
            }
            for shop in ("seed", "ours", "queue")
            if shop in seconds
        ],
    }


def make_markdown(reported: list[runs.Run]) -> str:
    """Return the table of figures in Markdown, for the README."""
    rows = [make_row(run) for run in reported]
    heads = ("scenario", "synchronous: answered, p95, lost", "ours: answered, p95, lost", "ours drained", "")
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['title']} | {row['seed_answered']}, {row['seed_p95']}, {row['seed_lost']} |"
        f" {row['ours_answered']}, {row['ours_p95']}, {row['ours_lost']} | {row['drain']} | {row['note']} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
