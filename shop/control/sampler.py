"""The sampler: reads the figures once per period, for any number of live processes and viewers.

A period lasts STEP_SECONDS, and one second while something is down or late.
"""

from datetime import datetime
from typing import Any

from django.db import connection, transaction

from shop.control.figures import read_figures
from shop.control.models import Sample
from shop.control.outages.lessons import learn
from shop.control.outages.points import store_points
from shop.control.outages.tracker import follow_outages
from shop.control.prediction import predict
from shop.control.rates import find_rates, learn_capacities
from shop.control.verdict import is_troubled
from shop.delays.models import Delay

SAMPLE_SECONDS = 5
TROUBLED_SECONDS = 1
KEPT_HOURS = 48
#: Older samples are thinned to one per minute.
COMPLETE_HOURS = 1
#: A previous sample older than this gives no rates.
LONGEST_GAP_SECONDS = 60.0

# Both periods are counted from the epoch, so samplers that disagree about the step claim the same beginnings.
_CLAIM = """
with newest as (
    select period, is_troubled from control_sample where figures is not null order by period desc limit 1),
step as (select case when (select is_troubled from newest) then %(quick)s else %(calm)s end as seconds),
now as (select floor(extract(epoch from clock_timestamp()) / seconds)::bigint * seconds as period from step)
insert into control_sample (period, at)
select period, clock_timestamp() from now where period > coalesce((select period from newest), 0)
on conflict (period) do nothing returning period, at
"""
_STEP = """
select is_troubled from control_sample where figures is not null order by period desc limit 1
"""


def take_sample() -> bool:
    """Read and store the figures of the current period. Return False if another sampler has claimed the period."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"quick": TROUBLED_SECONDS, "calm": SAMPLE_SECONDS})
        claimed = cursor.fetchone()
    if claimed is None:
        return False
    period, at = claimed
    before = Sample.objects.filter(period__lt=period).exclude(figures=None).order_by("-period").first()
    figures = make_figures(before, at, complete=period % SAMPLE_SECONDS == 0)
    store_figures(figures, period, at)
    return True


def find_step() -> int:
    """Return the seconds of a period: TROUBLED_SECONDS while something is down or late, otherwise SAMPLE_SECONDS."""
    with connection.cursor() as cursor:
        cursor.execute(_STEP)
        newest = cursor.fetchone()
    return TROUBLED_SECONDS if newest and newest[0] else SAMPLE_SECONDS


def sample() -> int:
    """Take a sample, unless another sampler has claimed the period. Return the seconds of the next period."""
    take_sample()
    return find_step()


def make_figures(before: Sample | None, at: datetime, *, complete: bool = True) -> dict[str, Any]:
    """Return the figures at the time `at`, with the rates since the sample `before`.

    Unless `complete`, sections that change slowly are copied from `before`.
    """
    seconds = (at - before.at).total_seconds() if before else 0.0
    known = before.figures if before and seconds < LONGEST_GAP_SECONDS else None
    figures = read_figures(known, complete=complete)
    figures["rates"] = find_rates(known, figures, seconds)
    learn_capacities(before.figures if before else None, figures, at.timestamp())
    closed = follow_outages(known, figures, at)
    learn(before.figures if before else None, figures, closed)
    predictions = {name: predict(figures, name, at.timestamp()) for name in figures["consumers"] or {}}
    figures["predictions"] = {name: found._asdict() for name, found in predictions.items() if found}
    return figures


@transaction.atomic
def store_figures(figures: dict[str, Any], period: int, at: datetime) -> None:
    """Store the figures of a claimed period, with the points of charts and the delays for customers."""
    store_delays(figures, at)
    store_points(figures, period, at)
    Sample.objects.filter(pk=period).update(figures=figures, is_troubled=is_troubled(figures, at))


def store_delays(figures: dict[str, Any], at: datetime) -> None:
    """Store the delay of each consumer for the pages of customers."""
    rows = [
        Delay(
            consumer=name,
            at=at,
            behind_seconds=consumer["behind_seconds"],
            is_away=name in figures["outages"] and figures["outages"][name]["returned_at"] is None,
            drain_seconds=figures["predictions"].get(name, {}).get("seconds"),
        )
        for name, consumer in sorted((figures["consumers"] or {}).items())
    ]
    changed = ["at", "behind_seconds", "is_away", "drain_seconds"]
    Delay.objects.bulk_create(rows, update_conflicts=True, unique_fields=["consumer"], update_fields=changed)


def delete_old_samples() -> int:
    """Delete samples older than KEPT_HOURS. Keep one per minute of those older than COMPLETE_HOURS.

    Return the number of deleted samples. Of the points of a minute, keep those with the most waiting events.
    """
    with connection.cursor() as cursor:
        cursor.execute("select extract(epoch from clock_timestamp())::bigint")
        (now,) = cursor.fetchone()
        oldest, complete = now - KEPT_HOURS * 3600, now - COMPLETE_HOURS * 3600
        cursor.execute("delete from control_point where period < %s", [oldest])
        cursor.execute(
            "delete from control_point p using ("
            "  select consumer, period, row_number() over (partition by consumer, period / 60"
            "                                              order by waiting desc, period) as place"
            "  from control_point where period < %s) as old"
            " where p.consumer = old.consumer and p.period = old.period and place > 1",
            [complete],
        )
        cursor.execute(
            "delete from control_sample where period < %s or (period < %s and period %% 60 <> 0)", [oldest, complete]
        )
        return int(cursor.rowcount)
