"""The goals of the lab: for each scenario what must be reached, and what was found."""

from typing import Any

from shop.lab.runs import Run
from shop.lab.scenarios import Plan
from shop.lab.seed.shop import WORKERS

#: Goals of our shop: the 95th percentile of the wait in ms, and the drain after an outage in s.
P95_MS, DRAIN_SECONDS = 100, 120
#: Seconds of the synchronous shop for one order, and the tolerance of what arithmetic says.
SEED_SECONDS, TOLERANCE = 6.0, 0.05
#: A prediction is scored only if the drain took this long: the second one is made five seconds after the return.
SCORED_SECONDS = 10.0
#: When the control room predicts a drain, and the tolerances.
PREDICTIONS = {"away": ("while the consumer is off", 0.2), "back": ("5 s after its return", 0.1)}


def find_goals(run: Run, plan: Plan, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the goals of a run, each with `goal`, `found` and `reached`."""
    ours, seed = found["shops"].get("ours"), found["shops"].get("seed")
    goals = [_goal("verify finds no difference", len(found["verify"]["differences"]), found["verify"]["ok"])]
    if ours:
        goals += _judge_ours(plan, ours)
    if drain := found["drain"]:
        goals.append(
            _goal(f"drained within {DRAIN_SECONDS} s", f"{drain['seconds']:g} s", drain["seconds"] <= DRAIN_SECONDS)
        )
        goals += judge_predictions(drain["predictions"] or {})
    if seed and run.scenario == "calm" and seed["p50"]:
        seconds = seed["p50"] * run.factor
        goals.append(
            _goal("synchronous shop: 6 s per order, within 5 %", f"{seconds:.2f} s", is_near(seconds, SEED_SECONDS))
        )
    if ramp := found.get("ramp"):
        limit = WORKERS / SEED_SECONDS * run.factor
        text = f"synchronous shop: {WORKERS} workers / 6 s = {limit:.1f} orders/s, within 5 %"
        goals.append(_goal(text, f"{ramp['seed']['capacity']:.1f}", is_near(ramp["seed"]["capacity"], limit)))
    if queue := found.get("queue"):
        text = f"retry queue: {queue['predicted']:.0f} min predicted, simulated within 5 %"
        goals.append(_goal(text, f"{queue['mean']:.0f} min", is_near(queue["mean"], queue["predicted"])))
    if flash := found.get("flash"):
        goals.append(_goal("nothing oversold", flash["ours"]["oversold"], flash["ours"]["oversold"] == 0))
        goals.append(_goal("every piece sold", flash["ours"]["sold"], flash["ours"]["sold"] == flash["pieces"]))
    if known := found.get("analytics"):
        text = f"{known['ours']['orders']} of {known['control']['orders']}, synchronous {known['seed']['orders']}"
        goals.append(_goal("analytics knows what an undisturbed shop knows", text, known["ours"] == known["control"]))
    if late := found.get("latecomer"):
        goals.append(
            _goal("the late consumer knows every order", f"{late['orders']} of {late['control_orders']}",
                  (late["orders"], late["revenue"]) == (late["control_orders"], late["control_revenue"]))
        )  # fmt: skip
    if plan.bug:
        parked = found["progress"]["parked"]
        goals.append(
            _goal(
                "the bug parked keys, and after the fix none is parked",
                f"{parked} parked",
                parked > 0 and found["verify"]["ok"],
            )
        )
    return goals


def _judge_ours(plan: Plan, ours: dict[str, Any]) -> list[dict[str, Any]]:
    more = ours["more"]
    is_exact = more["stored"] == more["distinct"] == ours["ok"] and not more["wrong_total"]
    found = [
        _goal("each order of this shop answered 201", f"{ours['ok']} of {ours['asked']}", ours["ok"] == ours["asked"]),
        _goal("no order lost or doubled", f"{more['stored']} stored, {more['distinct']} different", is_exact),
        _goal(
            "analytics knows every order",
            f"{more['sales_known']} of {ours['ok']}",
            (more["sales_known"], more["revenue_known"]) == (ours["ok"], ours["taken_money"]),
        ),
    ]
    if not plan.last_rate and not plan.is_flash and ours["p95"] is not None:
        found.append(_goal(f"p95 below {P95_MS} ms", f"{ours['p95'] * 1000:.0f} ms", ours["p95"] * 1000 < P95_MS))
    return found if not plan.last_rate else found[1:]


def judge_predictions(drain: dict[str, float | None]) -> list[dict[str, Any]]:
    """Return a goal for each prediction. There is none before an outage has taught the control room."""
    actual, found = drain.get("actual"), []
    if actual is None or actual < SCORED_SECONDS:
        return []
    for name, (when, tolerance) in PREDICTIONS.items():
        if (predicted := drain[name]) is not None:
            text = f"drain predicted within {tolerance:.0%} {when}"
            off = abs(predicted - actual)
            found.append(_goal(text, f"{predicted:.1f} s, actual {actual:.1f} s", off <= tolerance * actual))
    return found


def is_near(found: float, wanted: float) -> bool:
    """Return whether `found` is within TOLERANCE of `wanted`."""
    return abs(found - wanted) <= TOLERANCE * wanted


def _goal(goal: str, found: object, reached: bool) -> dict[str, Any]:
    return {"goal": goal, "found": str(found), "reached": bool(reached)}
