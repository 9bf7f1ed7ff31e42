"""The lab's pages: start a run, switch parts off, and watch both shops. Installed with LAB=1 only."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from shop.control.access import staff_action, viewer_page
from shop.lab import figures, runs
from shop.lab.charts import draw_charts, find_length
from shop.lab.scenarios import PARTS, SCENARIOS
from shop.lab.schema import have_tables
from shop.lab.switches import end_switches, read_switches, switch_now
from shop.lab.wording import list_counters, name_shop, tell_customer

#: Acting in the lab needs the permission to pause consumers, because switches do that and more.
ACT = "relay.change_consumerstate"
MINUTES = (1, 5, 10, 30)


@viewer_page
def show_lab(request: HttpRequest) -> HttpResponse:
    """Show the newest run with both shops. Looking keeps a run alive that a page has started."""
    run = None
    if have_tables():
        runs.note_watcher()
        run = runs.read_newest()
    context: dict[str, Any] = {
        "run": run,
        "scenarios": SCENARIOS,
        "factors": runs.FACTORS,
        "minutes": MINUTES,
        "may_act": request.user.has_perm(ACT),
        "most_rate": runs.MOST_RATE,
        "unwatched": runs.UNWATCHED_SECONDS,
    }
    if run:
        context |= describe_run(run)
    return render(request, "lab/lab.html", context)


def describe_run(run: runs.Run) -> dict[str, Any]:
    """Return what the page shows of a run."""
    sums, seconds, switches = figures.read_sums(run.id), figures.read_seconds(run.id), read_switches(run.id)
    length = find_length(seconds)
    off = {switch.part: switch for switch in switches if switch.off_at and not switch.on_at}
    columns = [
        {
            "shop": shop,
            "name": name_shop(shop),
            "counters": list_counters(shop, sums[shop], run.factor),
            "customer": tell_customer(shop, figures.read_last_answer(run.id, shop), run.factor),
            "charts": draw_charts(seconds.get(shop, []), switches, run.factor, length, shop),
        }
        for shop in ("seed", "ours", "queue")
        if shop in sums
    ]
    return {
        "title": SCENARIOS[run.scenario].title,
        "columns": columns,
        "switches": [{"part": part, "off": off.get(part), "theirs": theirs} for part, theirs in PARTS.items()],
        "off": off,
        "goals": (run.result or {}).get("goals", []),
        "shop_minutes": run.seconds / 60,
    }


@staff_action(ACT)
def start(request: HttpRequest) -> HttpResponse:
    """Start a run. The page that is shown afterwards watches the run."""
    from shop.lab.schema import create_tables

    create_tables()
    try:
        rate, factor, seed = read_numbers(request.POST)
        runs.request_run(request.POST.get("scenario", ""), rate=rate, factor=factor, seed=seed, watched=True)
    except runs.Refused as error:
        messages.error(request, str(error))
    return redirect("lab:lab")


def read_numbers(form: Any) -> tuple[float, int, int]:
    """Return rate, time factor and seed of a form.

    :raises Refused: one of them is no number.
    """
    found = []
    for name, convert in (("rate", float), ("factor", int), ("seed", int)):
        try:
            found.append(convert(form.get(name, "")))
        except ValueError:
            raise runs.Refused(f"The {name} {form.get(name, '')[:40]!r} is not a number.") from None
    rate, factor, seed = found
    if not 0 <= seed < 2**31:
        raise runs.Refused(f"The seed {seed} is not between 0 and {2**31 - 1}.")
    return rate, int(factor), int(seed)


@staff_action(ACT)
def stop(request: HttpRequest) -> HttpResponse:
    """Stop the live run. All switches are reverted."""
    if have_tables():
        runs.request_stop()
    return redirect("lab:lab")


@staff_action(ACT)
def switch(request: HttpRequest) -> HttpResponse:
    """Switch a part off in both shops for some minutes of shop time, or on again."""
    part, minutes = request.POST.get("part", ""), request.POST.get("minutes", "")
    run = runs.read_newest() if have_tables() else None
    try:
        if part not in PARTS:
            raise runs.Refused(f"There is no part {part[:40]!r}. Choose one of {', '.join(PARTS)}.")
        if run is None or not run.is_live:
            raise runs.Refused("No run is live. Start one first.")
        if minutes == "on":
            end_switches(run.id, part)
        elif minutes.isascii() and minutes.isdecimal() and int(minutes) in MINUTES:
            switch_now(part, int(minutes))
        else:
            raise runs.Refused(
                f"{minutes[:40]!r} minutes are not offered. Choose one of {', '.join(map(str, MINUTES))}."
            )
    except runs.Refused as error:
        messages.error(request, str(error))
    return redirect("lab:lab")
