"""The statements that write sold_out."""

from django.db.backends.utils import CursorWrapper

from analytics.facts.columns import split_columns
from analytics.facts.rows import Rows

_NAMES = ("sku", "at")
# A second StockLow of a product that is already sold out changes nothing.
_BEGIN = """
insert into {schema}.analytics_soldout (sku, began_at)
select sku, at from unnest(%(sku)s::text[], %(at)s::timestamptz[]) as low (sku, at)
where not exists (select from {schema}.analytics_soldout s where s.sku = low.sku and s.ended_at is null)
order by sku on conflict do nothing
"""
_END = """
update {schema}.analytics_soldout s set ended_at = back.at
from unnest(%(sku)s::text[], %(at)s::timestamptz[]) as back (sku, at) where s.sku = back.sku and s.ended_at is null
"""


def write_stock(cursor: CursorWrapper, schema: str, rows: Rows) -> None:
    """Begin and end the intervals without stock. A batch has at most one event of each SKU."""
    for statement, is_back in ((_BEGIN, False), (_END, True)):
        if chosen := [(sku, at) for sku, at, back in rows.stock if back is is_back]:
            cursor.execute(statement.format(schema=schema), split_columns(_NAMES, chosen))
