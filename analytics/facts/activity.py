"""The statement that writes activity, and marks the visitors whose sessions must be computed again."""

from django.db.backends.utils import CursorWrapper

from analytics.facts.columns import split_columns
from analytics.facts.days import ensure_days
from analytics.facts.rows import Rows

_NAMES = ("event_id", "at", "visitor", "kind", "sku", "quantity", "amount", "currency", "order_id")
_WRITE = f"""
with happened as materialized (
    select * from unnest(%(event_id)s::uuid[], %(at)s::timestamptz[], %(visitor)s::uuid[], %(kind)s::text[],
                         %(sku)s::text[], %(quantity)s::int[], %(amount)s::bigint[], %(currency)s::text[],
                         %(order_id)s::text[]) as happened ({", ".join(_NAMES)})),
touched as (
    insert into {{schema}}.analytics_touched (visitor, day)
    select distinct visitor, (at at time zone 'UTC')::date from happened)
insert into {{schema}}.analytics_activity ({", ".join(_NAMES)})
select event_id, at, visitor, kind, sku, nullif(quantity, -1), nullif(amount, -1), currency, nullif(order_id, '')::uuid
from happened
"""  # noqa: S608 - our own names


def write_activities(cursor: CursorWrapper, schema: str, rows: Rows) -> None:
    """Add the activities of visitors, each to the partition of its day."""
    if rows.activities:
        ensure_days(cursor, schema, "analytics_activity", {at for _, at, *_ in rows.activities})
        cursor.execute(_WRITE.format(schema=schema), split_columns(_NAMES, rows.activities))
