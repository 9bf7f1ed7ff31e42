"""The part of the statement that writes order_fact."""

from analytics.facts.columns import Part, split_columns
from analytics.facts.rows import Rows
from analytics.models import MILESTONES

_AMOUNTS = ("discount", "shipping", "tax", "total", "units")
_TEXTS = ("currency", "first_order_month", "channel")
# Aggregates, because one batch may have events of several topics about one order.
_SELECTED = {
    **{f"{kind}_at": f"min(at) filter (where kind = '{kind}')" for kind in MILESTONES},
    "reason": "min(reason) filter (where kind = 'cancelled')",
    "decline_reason": "min(reason) filter (where kind = 'declined')",
    **{name: f"min({name})" for name in _AMOUNTS},
    **{name: f"min(nullif({name}, ''))" for name in _TEXTS},
    "nth_order": "min(nullif(nth_order, -1))",
    "first_this_month": "bool_or(nullif(first_this_month, '')::boolean)",
}
_MERGED = [
    f"{name} = {'least' if name.endswith('_at') else 'coalesce'}(f.{name}, excluded.{name})" for name in _SELECTED
]
# A union and not a join: the planner does not know the length of an array, and could choose a nested loop.
_WRITE = f"""
order_written as (
    insert into {{schema}}.analytics_orderfact as f (order_id, {", ".join(_SELECTED)}, refunded)
    select order_id, {", ".join(_SELECTED.values())}, coalesce(sum(amount) filter (where kind = 'refunded'), 0)
    from (
        select *, null::text as currency, null::bigint as discount, null::bigint as shipping, null::bigint as tax,
               null::bigint as total, null::int as units, null::int as nth_order, null::text as first_order_month,
               null::text as first_this_month, null::text as channel
        from unnest(%(step_order)s::uuid[], %(step_kind)s::text[], %(step_at)s::timestamptz[], %(step_reason)s::text[],
                    %(step_amount)s::bigint[]) as step (order_id, kind, at, reason, amount)
        union all
        select order_id, null, null, null, null, currency, discount, shipping, tax, total, units, nth_order,
               first_order_month, first_this_month, channel
        from unnest(%(order)s::uuid[], %(order_currency)s::text[], %(discount)s::bigint[], %(shipping)s::bigint[],
                    %(tax)s::bigint[], %(total)s::bigint[], %(order_units)s::int[], %(nth_order)s::int[],
                    %(first_order_month)s::text[], %(first_this_month)s::text[], %(channel)s::text[])
            as placed (order_id, currency, discount, shipping, tax, total, units, nth_order, first_order_month,
                       first_this_month, channel)) happened
    group by order_id order by order_id
    on conflict (order_id) do update set {", ".join(_MERGED)}, refunded = f.refunded + excluded.refunded
    returning placed_at)
"""  # noqa: S608 - our own names
_STEP = ("step_order", "step_kind", "step_at", "step_reason", "step_amount")
_PLACED = (
    *("order", "order_currency", "discount", "shipping", "tax", "total", "order_units"),
    *("nth_order", "first_order_month", "first_this_month", "channel"),
)


def _list_values(rows: Rows) -> dict[str, str]:
    if not rows.steps:
        return {}
    return split_columns(_STEP, rows.steps) | split_columns(_PLACED, rows.placed)


#: The steps of orders, and what OrderPlaced says about them.
ORDERS = Part(_WRITE, _list_values, "select placed_at from order_written")
