"""Runs at time factor 60 in a whole shop: every figure equals the rows of both shops, order by order."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shop.embedded.processes import wait_until
from tests.running_shop import RunningShop

#: The time factor, and shop seconds of arrivals: four real seconds, with an outage of 2.7 s.
FAST = ("--rate", "10", "--factor", "60", "--seconds", "240")


def run(shop: RunningShop, name: str) -> dict[str, Any]:
    """Run a scenario and return its figures. On a busy machine it may miss a goal of speed."""
    done = shop.manage("lab", "run", name, *FAST, "--json")
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    assert found["run"]["state"] == "done", done.stderr
    return found


def read(shop: RunningShop, statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(shop.addresses["postgres"], autocommit=True) as db:
        return db.execute(statement, values).fetchall()


def test_the_figures_of_two_runs_are_those_of_the_tables(running_shop: RunningShop, tmp_path: Path) -> None:
    runs = {name: run(running_shop, name) for name in ("inventory", "flash")}
    for found in runs.values():
        check_our_orders(running_shop, found)
        check_their_orders(running_shop, found)
        check_seconds(running_shop, found)
    check_outage(running_shop, runs["inventory"])
    report = tmp_path / "report.html"
    done = running_shop.manage("lab", "report", str(report))
    assert done.returncode == 0, done.stderr
    page = report.read_text()
    assert "<script" not in page
    for found in runs.values():
        for shop in ("ours", "seed"):
            sums = found["shops"][shop]
            assert f"<td>{sums['ok']:,} of {sums['asked']:,}</td>" in page


def check_our_orders(shop: RunningShop, found: dict[str, Any]) -> None:
    """Compare each answer 201 with the stored order of its id: the amount is the same, and no order is there twice."""
    sums = found["shops"]["ours"]
    rows = read(
        shop,
        "select r.number, r.outcome, r.total, o.total, o.status, o.id from lab.request r"
        " left join orders_order o on o.id = r.order_id where r.run = %s and r.shop = 'ours'",
        found["run"]["id"],
    )
    assert sums["asked"] == len(rows)
    assert sums["ok"] == len(rows), "our shop answers each order with 201, also in an outage"
    assert all(stored == total for _, _, total, stored, _, _ in rows)
    assert len({row[5] for row in rows}) == len(rows)
    statuses = Counter(row[4] for row in rows)
    assert (sums["more"]["confirmed"], sums["more"]["cancelled"]) == (statuses["confirmed"], statuses["cancelled"])
    assert not statuses["placed"]
    assert sums["more"]["sales_known"] == sums["ok"]


def check_their_orders(shop: RunningShop, found: dict[str, Any]) -> None:
    """Compare each answer of the synchronous shop with its tables."""
    sums, run_id = found["shops"]["seed"], found["run"]["id"]
    answers = read(shop, "select number, outcome, total from lab.request where run = %s and shop = 'seed'", run_id)
    stored = dict(read(shop, "select number, total from lab_seed.placed where run = %s", run_id))
    well = {number: total for number, outcome, total in answers if outcome == "ok"}
    assert sums["asked"] == len(answers) == found["shops"]["ours"]["asked"]
    assert sums["ok"] == len(well)
    assert well.items() <= stored.items()
    assert sums["more"]["stored"] == len(stored)
    lost = [total for _, outcome, total in answers if outcome in ("failed", "gave up")]
    assert (sums["failed"], sums["lost_money"]) == (len(lost), sum(lost))


def check_seconds(shop: RunningShop, found: dict[str, Any]) -> None:
    """Compare the figures per second, from which the curves are drawn, with the sums."""
    rows = read(
        shop,
        "select shop, sum(asked)::int, sum(answered)::int, sum(ok)::int, sum(failed)::int, sum(lost)::bigint"
        " from lab.second where run = %s group by shop",
        found["run"]["id"],
    )
    for name, *sums in rows:
        expected = found["shops"][name]
        assert sums == [expected[key] for key in ("asked", "answered", "ok", "failed", "lost_money")]


def check_outage(shop: RunningShop, found: dict[str, Any]) -> None:
    """Check that the outage cost the synchronous shop the sales of its time, that ours caught up, and the queue."""
    seed, queue = found["shops"]["seed"], found["shops"]["queue"]
    assert 0 < seed["failed"] < seed["asked"]
    assert queue["ok"] == queue["asked"] == queue["more"]["queued"]
    assert found["result"]["drain"]["seconds"] > 0
    assert found["result"]["queue"]["predicted"] == pytest.approx(12 * found["result"]["queue"]["outage_minutes"])
    assert shop.list_parts()["inventory"]["state"] == "running"


def test_a_killed_lab_leaves_no_part_switched_off(running_shop: RunningShop) -> None:
    with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as db:
        row = db.execute(
            "insert into lab.run (scenario, rate, factor, seed, seconds) values ('payments', 2, 1, 1, 900) returning id"
        ).fetchone()
        assert row
        db.execute("insert into lab.switch (run, part, starts, ends) values (%s, 'payments', 0, 600)", row)
    assert wait_until(lambda: running_shop.list_parts()["payments"]["state"] == "stopped", seconds=60)
    lab = running_shop.list_parts()["lab"]["pid"]
    os.kill(lab, signal.SIGKILL)
    assert wait_until(lambda: running_shop.list_parts()["payments"]["state"] == "running", seconds=90)
    assert running_shop.list_parts()["lab"]["pid"] != lab
    assert read(running_shop, "select state from lab.run where id = %s", row[0]) == [("failed",)]
