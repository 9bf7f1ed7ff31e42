"""Copies of the tables of orders and stock, for a rebuild without all of their events."""

from typing import Any

from django.db import connection

from analytics.generation import CONSUMER, NEXT, TABLES
from analytics.models import ACTIVITIES, GenerationChoice
from analytics.rebuild.sources import ACTIVITY

_TABLES = {
    "order_fact": "true",
    "order_line_fact": "true",
    "sold_out": "true",
    "minute": "kind <> all(%(activities)s)",
    "product_hour": "currency <> ''",  # views and carts have no currency
}
_PART = "{name} as (insert into {{other}}.{table} select * from {{schema}}.{table} where {condition})"
# One statement sees the database at one moment, so the cursors fit the copied rows.
_COPY = ", ".join(_PART.format(name=name, table=TABLES[name], condition=kept) for name, kept in _TABLES.items())
_COPY = f"""
with {_COPY}
insert into relay_cursor (consumer, topic, key, last)
select %(next)s, topic, key, last from relay_cursor
where consumer = %(consumer)s and topic = any(%(topics)s) and topic <> %(activity)s
"""  # noqa: S608 - our own names


def copy_orders(choice: GenerationChoice, topics: list[str]) -> None:
    """Copy the rows that come from orders, payments and stock to the other generation, with the cursors of `topics`."""
    values: dict[str, Any] = {"consumer": CONSUMER, "next": NEXT, "topics": topics, "activity": ACTIVITY}
    values["activities"] = [kind.value for kind in ACTIVITIES]
    with connection.cursor() as cursor:
        cursor.execute("set local statement_timeout = '10min'")
        cursor.execute(_COPY.format(schema=choice.schema, other=choice.other), values)
