"""The sampler: reads the figures once per SAMPLE_SECONDS, whatever the number of live processes and viewers."""

from datetime import datetime
from typing import Any

from django.db import connection

from shop.control.figures import read_figures
from shop.control.models import Sample
from shop.control.rates import find_rates, learn_capacities

SAMPLE_SECONDS = 5
KEPT_HOURS = 48
#: A previous sample older than this gives no rates.
LONGEST_GAP_SECONDS = 60.0

_CLAIM = """
insert into control_sample (period, at)
select floor(extract(epoch from clock_timestamp()) / %s), clock_timestamp()
on conflict (period) do nothing returning period, at
"""


def take_sample() -> bool:
    """Read and store the figures of the current period. Return False if another sampler has claimed the period."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [SAMPLE_SECONDS])
        claimed = cursor.fetchone()
    if claimed is None:
        return False
    period, at = claimed
    before = Sample.objects.filter(period__lt=period).exclude(figures=None).order_by("-period").first()
    Sample.objects.filter(pk=period).update(figures=make_figures(before, at))
    return True


def make_figures(before: Sample | None, at: datetime) -> dict[str, Any]:
    """Return the figures at the time `at`, with the rates since the sample `before`."""
    seconds = (at - before.at).total_seconds() if before else 0.0
    known = before.figures if before and seconds < LONGEST_GAP_SECONDS else None
    figures = read_figures()
    figures["rates"] = find_rates(known, figures, seconds)
    figures["capacities"] = learn_capacities(before.figures if before else None, figures)
    return figures


def delete_old_samples() -> int:
    """Delete the samples that are older than KEPT_HOURS, and return their number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from control_sample where period < extract(epoch from clock_timestamp()) / %s - %s",
            [SAMPLE_SECONDS, KEPT_HOURS * 3600 // SAMPLE_SECONDS],
        )
        return int(cursor.rowcount)
