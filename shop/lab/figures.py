"""The figures of a run, read from the tables order by order. Pages, commands and the report show only these."""

from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection, transaction

from shop.lab import runs
from shop.lab.switches import read_switches

SHOPS = {"ours": "This shop", "seed": "The synchronous shop", "queue": "The same with a retry queue"}
_SUMS = """
select shop, count(*), count(answered), count(*) filter (where outcome = 'ok'),
       count(*) filter (where outcome = 'sold out'), count(*) filter (where outcome in ('failed', 'gave up')),
       coalesce(sum(total) filter (where outcome in ('failed', 'gave up')), 0)::bigint,
       coalesce(sum(total) filter (where outcome = 'ok'), 0)::bigint,
       percentile_cont(0.5) within group (order by answered - due),
       percentile_cont(0.95) within group (order by answered - due),
       max(answered - due), coalesce(max(answered) - min(due), 0)::float8
from lab.request where run = %s group by shop
"""
#: Our orders of a run: stored, confirmed, cancelled, not decided, known to analytics, letters.
_OURS = """
select count(*), count(o.id), count(distinct o.id), count(*) filter (where o.total is distinct from r.total),
       count(*) filter (where o.status in ('confirmed', 'shipped', 'delivered')),
       count(*) filter (where o.status = 'cancelled'), count(*) filter (where o.status = 'placed'),
       count(s.placed_at), coalesce(sum(s.total) filter (where s.placed_at is not null), 0)::bigint
from lab.request r left join orders_order o on o.id = r.order_id
left join analytics_orderfact s on s.order_id = r.order_id
where r.run = %s and r.shop = 'ours' and r.outcome = 'ok'
"""
# Analytics may have switched to a second generation, which is in another schema.
_READ_CURRENT = """
select set_config('search_path', schema || ', public', true) from public.analytics_generationchoice
"""
_SEED = """
select (select count(*) from lab_seed.placed where run = %(run)s),
       (select coalesce(sum(total), 0)::bigint from lab_seed.placed where run = %(run)s),
       (select count(*) from lab_seed.sale where run = %(run)s),
       (select coalesce(sum(total), 0)::bigint from lab_seed.sale where run = %(run)s),
       (select count(*) from lab_seed.payment p where run = %(run)s
        and not exists (select from lab_seed.placed o where o.run = p.run and o.number = p.number)
        and exists (select from lab.request r where r.run = p.run and r.shop = 'seed' and r.number = p.number
                    and r.outcome is not null)),
       (select count(*) from lab_seed.queued where run = %(run)s),
       (select count(*) from lab_seed.queued where run = %(run)s and done_at is null)
"""


@dataclass(slots=True)
class Sums:
    """One shop's sums of a run. Money is in minor units, waits in real seconds; None: nobody has an answer yet."""

    asked: int = 0
    answered: int = 0
    ok: int = 0
    sold_out: int = 0
    failed: int = 0
    lost_money: int = 0
    taken_money: int = 0
    p50: float | None = None
    p95: float | None = None
    longest: float | None = None
    span: float = 0.0
    more: dict[str, int] = field(default_factory=dict)


def read_sums(run_id: int) -> dict[str, Sums]:
    """Return the sums of each shop, with what the databases of both shops know about these orders."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_READ_CURRENT)
        cursor.execute(_SUMS, [run_id])
        found = {shop: Sums(*row) for shop, *row in cursor.fetchall()}
        if "ours" in found:
            cursor.execute(_OURS, [run_id])
            names = ("answered_ok", "stored", "distinct", "wrong_total", "confirmed", "cancelled", "undecided")
            found["ours"].more = dict(zip((*names, "sales_known", "revenue_known"), cursor.fetchone(), strict=True))
        if "seed" in found:
            cursor.execute(_SEED, {"run": run_id})
            row = cursor.fetchone()
            seed_names = ("stored", "stored_total", "sales_known", "revenue_known", "charged_without_order")
            found["seed"].more = dict(zip(seed_names, row[:5], strict=True))
            if "queue" in found:
                found["queue"].more = dict(zip(("queued", "unfinished"), row[5:], strict=True))
    return found


def read_seconds(run_id: int) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of each real second by shop, with the orders that wait at its end."""
    columns = ("second", "asked", "answered", "ok", "failed", "lost", "p50", "p95", "waiting")
    with connection.cursor() as cursor:
        cursor.execute(
            "select s.shop, s.second, s.asked::int, s.answered::int, s.ok::int, s.failed::int, s.lost::bigint, s.p50,"
            " s.p95, b.waiting from lab.second s left join lab.backlog b using (run, shop, second)"
            " where run = %s order by s.shop, s.second",
            [run_id],
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for shop, *row in cursor.fetchall():
            found.setdefault(shop, []).append(dict(zip(columns, row, strict=True)))
    return found


def read_backlog(run_id: int, shop: str) -> list[tuple[int, int]]:
    """Return (second, waiting) of one shop."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select second, waiting from lab.backlog where run = %s and shop = %s order by 1", [run_id, shop]
        )
        return list(cursor.fetchall())


def read_last_answer(run_id: int, shop: str) -> dict[str, Any] | None:
    """Return the newest answer of a shop: its outcome, its waiting time in real seconds and the order's number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select r.outcome, r.answered - r.due, r.number, o.status from lab.request r"
            " left join orders_order o on o.id = r.order_id"
            " where r.run = %s and r.shop = %s and r.answered is not null order by r.answered desc limit 1",
            [run_id, shop],
        )
        row = cursor.fetchone()
    return dict(zip(("outcome", "seconds", "number", "status"), row, strict=True)) if row else None


def note_backlog(run_id: int, second: int, parts: list[str]) -> dict[str, int]:
    """Store and return the number of orders that wait in each shop. `parts` are the parts that were switched.

    In the synchronous shop customers wait. In ours customers have their answer, and later steps wait: the larger of
    the undecided orders and the events that a switched consumer has not applied.
    """
    waiting = _read_waiting(run_id)
    if "ours" in waiting:
        waiting["ours"] = max([waiting["ours"], *(read_lag_of(part) for part in parts)])
    with connection.cursor() as cursor:
        for shop, number in waiting.items():
            cursor.execute(
                "insert into lab.backlog (run, shop, second, waiting) values (%s, %s, %s, %s)"
                " on conflict (run, shop, second) do update set waiting = excluded.waiting",
                [run_id, shop, second, number],
            )
    return waiting


def _read_waiting(run_id: int) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select shop, count(*) filter (where answered is null), count(*) filter (where o.status = 'placed')"
            " from lab.request r left join orders_order o on o.id = r.order_id where run = %s group by shop",
            [run_id],
        )
        found = {shop: undecided if shop == "ours" else unanswered for shop, unanswered, undecided in cursor.fetchall()}
        if "queue" in found:
            cursor.execute("select count(*) from lab_seed.queued where run = %s and done_at is null", [run_id])
            found["queue"] = cursor.fetchone()[0]
    return found


def read_lag_of(part: str) -> int:
    """Return the events that the consumer `part` has not applied, or 0 if it is no consumer."""
    from relay.consumer.lag import read_lag
    from relay.consumer.registry import all_consumers

    return sum(read_lag(consumer, seconds=0.5).events for consumer in all_consumers() if consumer.name == part)


def describe(run: runs.Run) -> dict[str, Any]:
    """Return all figures of a run as JSON-like data."""
    return {
        "run": {"id": run.id, "scenario": run.scenario, "state": run.state, "rate": run.rate, "factor": run.factor}
        | {"seed": run.seed, "seconds": run.seconds, "step": run.step},
        "shops": {shop: asdict(sums) for shop, sums in read_sums(run.id).items()},
        "switches": [
            {"part": switch.part, "starts": switch.starts, "ends": switch.ends} for switch in read_switches(run.id)
        ],
        "result": run.result,
    }
