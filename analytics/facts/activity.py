"""The part of the statement that writes activity, and marks the visitors whose sessions must be computed again."""

from analytics.facts.columns import Part, split_columns
from analytics.facts.rows import Rows

_COLUMNS = ("event_id", "at", "visitor", "kind", "sku", "quantity", "amount", "currency", "order_id")
_NAMES = tuple(f"activity_{name}" for name in _COLUMNS)
_WRITE = f"""
activity as materialized (
    select * from unnest(%(activity_event_id)s::uuid[], %(activity_at)s::timestamptz[], %(activity_visitor)s::uuid[],
                         %(activity_kind)s::text[], %(activity_sku)s::text[], %(activity_quantity)s::int[],
                         %(activity_amount)s::bigint[], %(activity_currency)s::text[], %(activity_order_id)s::text[])
        as activity ({", ".join(_COLUMNS)})),
touched as (
    insert into {{schema}}.analytics_touched (visitor, day)
    select distinct visitor, (at at time zone 'UTC')::date from activity),
activity_written as (
    insert into {{schema}}.analytics_activity ({", ".join(_COLUMNS)})
    select event_id, at, visitor, kind, sku, nullif(quantity, -1), nullif(amount, -1), currency,
           nullif(order_id, '')::uuid
    from activity)
"""  # noqa: S608 - our own names


def _list_values(rows: Rows) -> dict[str, str]:
    return split_columns(_NAMES, rows.activities) if rows.activities else {}


#: The activities of visitors, whose days must have a partition.
ACTIVITIES = Part(_WRITE, _list_values, "")
