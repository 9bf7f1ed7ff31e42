"""Count the orders of each buyer. Earlier orders are counted, too; each chunk of guests has its own statement."""

from itertools import islice
from typing import Any

from django.db import migrations, models

from shop.keys import hash_value

CHUNK = 5000
# Each order updates a row. With free room in the page, an update changes no index.
LEAVE_ROOM = "alter table orders_buyer set (fillfactor = 70)"
COUNT_CUSTOMERS = """
insert into orders_buyer (key, orders, first_month, last_month, month_orders)
select customer_id::text, sum(orders), min(month), max(month), (array_agg(orders order by month desc))[1]
from (select customer_id, to_char(placed_at at time zone 'UTC', 'YYYY-MM') as month, count(*) as orders
      from orders_order where customer_id is not null group by 1, 2) monthly
group by customer_id
"""
LIST_GUESTS = """
select c.email, to_char(o.placed_at at time zone 'UTC', 'YYYY-MM'), count(*)
from orders_order o join contacts_contact c on c.id = o.contact_id where o.customer_id is null
group by 1, 2 order by 2
"""
# The months of a guest come in order, so each one is the last until now.
COUNT_GUESTS = """
insert into orders_buyer as b (key, orders, first_month, last_month, month_orders) values (%s, %s, %s, %s, %s)
on conflict (key) do update set
    orders = b.orders + excluded.orders, last_month = excluded.last_month,
    month_orders = excluded.month_orders + case when b.last_month = excluded.last_month then b.month_orders else 0 end
"""


def count_guests(apps: Any, schema_editor: Any) -> None:
    """Count the orders of guests whose contact is not erased."""
    with schema_editor.connection.cursor() as reader, schema_editor.connection.cursor() as writer:
        reader.execute(LIST_GUESTS)
        rows = iter(reader.fetchall())
        while chunk := list(islice(rows, CHUNK)):
            keys = [hash_value("orders.caps", email.strip().lower())[0] for email, _, _ in chunk]
            counted = [(key, n, month, month, n) for key, (_, month, n) in zip(keys, chunk, strict=True)]
            writer.executemany(COUNT_GUESTS, counted)


class Migration(migrations.Migration):
    dependencies = [("orders", "0009_cancel_permission"), ("contacts", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Buyer",
            fields=[
                (
                    "key",
                    models.CharField(
                        help_text="The same key as in CappedPurchase.", max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("orders", models.IntegerField()),
                (
                    "first_month",
                    models.CharField(help_text="Month (UTC) of the first order, for example 2026-05.", max_length=7),
                ),
                ("last_month", models.CharField(help_text="Month (UTC) of the latest order.", max_length=7)),
                ("month_orders", models.IntegerField(help_text="Number of orders in `last_month`.")),
            ],
        ),
        migrations.RunSQL(LEAVE_ROOM, migrations.RunSQL.noop),
        migrations.RunSQL(COUNT_CUSTOMERS, migrations.RunSQL.noop),
        migrations.RunPython(count_guests, migrations.RunPython.noop),
    ]
