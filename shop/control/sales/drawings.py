"""The drawings of the sales page, from the rows of its panels."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from analytics.completeness import Completeness
from analytics.panels.anomalies import BUCKET, judge
from analytics.panels.period import Period
from analytics.panels.reading import Row
from shop.catalogue.money import format_money
from shop.control.sales.charts import Chart, draw_band, draw_bars


def show_count(value: float) -> str:
    """Return a number of the grid as text."""
    return f"{value:,.0f}"


def name_time(begin: datetime, period: Period) -> str:
    """Return the begin of a bucket in the shop's time zone."""
    local = timezone.localtime(begin)
    return f"{local:%a %-d %b}" if period.bucket >= timedelta(days=1) else f"{local:%a %H:%M}"


def draw_pace(rows: list[Row], period: Period) -> list[dict[str, Any]]:
    """Return the charts of orders and of revenue for each currency."""
    charts = []
    for currency in sorted({row["currency"] for row in rows}):
        mine = [row for row in rows if row["currency"] == currency]
        for name, words, show in (
            ("orders", "Orders", show_count),
            (
                "revenue",
                f"Revenue in {currency}",
                lambda value, c=currency: format_money(round(value), c).split(".")[0],
            ),
        ):
            chart = draw_one(mine, period, name, show)
            known = [row[name] for row in mine if row[name] is not None]
            text = (
                f"{words}: {show(sum(known))} in all, at most {show(max(known, default=0))} in one bar" if known else ""
            )
            charts.append({"title": words, "chart": chart, "text": text, "name": f"{name}-{currency}"})
    return charts


def draw_one(rows: list[Row], period: Period, name: str, show: Any) -> Chart:
    """Return the bars of one column with the line of the time before."""
    kinds, titles = [], []
    for row in rows:
        value, before = row[name], row[f"{name}_before"]
        kinds.append("unknown" if value is None else "settled" if row["is_settled"] else "open")
        shown = "unknown" if value is None else show(value) + ("" if row["is_settled"] else ", may still grow")
        former = "" if before is None else f"; before: {show(before)}"
        titles.append(f"{name_time(row['begin'], period)}: {shown}{former}")
    begins = [row["begin"] for row in rows]
    return draw_bars(
        begins, [row[name] for row in rows], [row[f"{name}_before"] for row in rows], kinds, titles, show=show
    )


def draw_arrivals(rows: list[Row], period: Period) -> Chart | None:
    """Return bars of what is known now, with a line of what was known then; None if both are always equal."""
    if not any(row["later"] for row in rows):
        return None
    titles = [
        f"{name_time(row['begin'], period)}: {row['known_then']:,} known then, {row['known_now']:,} known now"
        for row in rows
    ]
    kinds = ["late" if row["later"] else "settled" for row in rows]
    begins, then = [row["begin"] for row in rows], [row["known_then"] for row in rows]
    return draw_bars(begins, [row["known_now"] for row in rows], then, kinds, titles, show=show_count)


def draw_anomalies(period: Period, complete: Completeness) -> Chart | None:
    """Return the orders of each five minutes in the band of usual numbers; None without a band or for 30 days."""
    judged = judge(period, complete) if period.span != "month" else None
    if judged is None or not judged.expected:
        return None
    first, counts, expected = judged.first, judged.counts, judged.expected
    places = range(first, len(counts))
    marked = {
        place - first: f"{counts[place]} orders" for one in judged.anomalies for place in range(one.first, one.last + 1)
    }
    low = [expected[place].low if place in expected else None for place in places]
    high = [expected[place].high if place in expected else None for place in places]
    begins = [judged.origin + place * BUCKET for place in places]
    return draw_band(begins, [counts[place] for place in places], low, high, marked, show=show_count)


def make_cohorts(rows: list[Row]) -> dict[str, Any]:
    """Return the table of cohorts: months as columns, each cell with its text and a shade from 0 to 4."""
    months = sorted({row["month"] for row in rows})
    cells = {(row["cohort"], row["month"]): row for row in rows}
    table = []
    for cohort in sorted({row["cohort"] for row in rows}):
        line = []
        for month in months:
            row = cells.get((cohort, month))
            if row is None:
                line.append({"text": "", "shade": 0})
            elif row["is_hidden"]:
                line.append({"text": "under 5", "shade": 0})
            else:
                share = "" if row["share"] is None else f" ({row['share']:.0%})"
                shade = 0 if row["share"] is None else 1 + min(3, int(row["share"] * 4))
                line.append({"text": f"{row['buyers']:,}{share}", "shade": shade})
        table.append({"cohort": cohort, "cells": line})
    return {"months": months, "rows": table}
