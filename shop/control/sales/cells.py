"""Values of panels as text. None is unknown and never shown as 0."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils import timezone

from analytics.panels.catalogue import MONEY, SECONDS, SHARES, Panel
from analytics.panels.reading import Row, remember
from shop.catalogue.models import Product
from shop.catalogue.money import format_money

#: Columns with an amount of the row's currency in the rows behind a figure.
FACT_MONEY = {"total", "ordered_amount", "amount", "cart_amount", "refunded"}
#: Columns that only the page of the panel shows.
SHORTENED = {"units_before"}
WORDS = {
    **{"gross": "Gross revenue", "net": "Net revenue", "average": "Average order", "sessions": "Visits"},
    **{"conversion": "Conversion", "orders": "Orders", "none": "not known"},
    **{"silence": "no orders", "few": "few orders", "many": "many orders"},
}


class Cell(NamedTuple):
    """A value as text, and whether it is a number. None is unknown. `rank` is the length of a bar, 0 to 100."""

    text: str | None
    is_number: bool
    rank: float = 0


def format_cell(name: str, row: Mapping[str, Any]) -> Cell:
    """Return the value `name` of `row` as text."""
    value, currency = row[name], row.get("currency")
    if name in ("value", "before"):
        return Cell(format_figure(row["figure"], value, str(currency)), True)
    if value is None:
        return Cell("new" if name == "change" and row["units_before"] == 0 else None, False)
    if isinstance(value, bool):
        return Cell("yes" if value else "no", False)
    if isinstance(value, datetime):
        return Cell(f"{value:%Y-%m-%d %H:%M}" + (f":{value:%S}" if value.second else ""), True)
    if name in MONEY | FACT_MONEY and currency and currency != "none":
        return Cell(format_money(value, currency), True)
    if name in SHARES:
        return Cell(f"{value:+.0%}" if name == "change" else f"{value:.1%}", True)
    if name in SECONDS:
        return Cell(format_duration(value), True)
    if isinstance(value, int | float):
        return Cell(f"{value:,}", True)
    return Cell(
        WORDS.get(str(value), str(value).replace("_", " ") if name in ("reason", "step") else str(value)), False
    )


def format_duration(seconds: float) -> str:
    """Return seconds as a short text, for example 0.87 s, 12.5 min or 19.9 h."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def format_short(name: str, value: float | None, currency: str) -> str | None:
    """Return a headline figure as text; amounts from 1,000.00 have no minor units."""
    text = format_figure(name, value, currency)
    return text.rpartition(".")[0] if text and currency and abs(value or 0) >= 100_000 and "." in text else text


def format_figure(name: str, value: float | None, currency: str) -> str | None:
    """Return a headline figure as text."""
    if value is None:
        return None
    if name == "conversion":
        return f"{value:.1%}"
    return format_money(int(value), currency) if currency else f"{value:,}"


def make_table(panel: Panel, rows: list[Row]) -> dict[str, Any]:
    """Return the labels and the cells of the panel's rows."""
    return {
        "labels": list(panel.columns.values()),
        "rows": [[format_cell(name, row) for name in panel.columns] for row in rows],
    }


def make_short_table(panel: Panel, rows: list[Row]) -> dict[str, Any]:
    """Return a table for the overview: names of products, no SHORTENED columns, no currency that amounts show."""
    names = read_names(tuple(sorted({row["sku"] for row in rows}))) if "sku" in panel.columns else {}
    one_currency = len({row.get("currency") for row in rows}) == 1 and MONEY & panel.columns.keys()
    columns = [name for name in panel.columns if name not in SHORTENED and not (name == "currency" and one_currency)]
    highest = max((row["amount"] for row in rows), default=0) if panel.name == "products" else 0
    table = []
    for row in rows:
        cells = [format_cell(name, row) for name in columns]
        if "sku" in columns:
            rank = round(100 * row["amount"] / highest, 1) if highest else 0
            cells[columns.index("sku")] = Cell(names.get(row["sku"], row["sku"]), False, rank)
        table.append(cells)
    labels = ["Product" if name == "sku" else panel.columns[name] for name in columns]
    return {"labels": labels, "rows": table}


def read_names(skus: tuple[str, ...]) -> dict[str, str]:
    """Return the names of products by SKU; former products have none."""
    return remember(("names", skus), 60, lambda: dict(Product.objects.filter(sku__in=skus).values_list("sku", "name")))


def make_fact_table(rows: list[Row]) -> dict[str, Any]:
    """Return the labels and the cells of rows behind a figure. An empty column did not happen (yet)."""
    names = list(rows[0]) if rows else []
    return {
        "labels": [name.removesuffix("_at").replace("_", " ") for name in names],
        "rows": [[format_cell(name, row) for name in names] for row in rows],
    }


def show_clock(moment: datetime) -> str:
    """Return the time of day in the shop's time zone."""
    return f"{timezone.localtime(moment):%H:%M:%S}"
