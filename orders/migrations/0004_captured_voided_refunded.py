"""Add the final states of a payment. Before this migration only the order's history had them."""

from django.db import migrations, models

_FROM_HISTORY = """
update orders_order as o set payment = said.payment
from (select order_id, max(case event when 'PaymentCaptured' then 'captured' else 'voided' end) as payment
      from orders_transition where event in ('PaymentCaptured', 'PaymentVoided') group by order_id) as said
where said.order_id = o.id and o.payment in ('pending', 'authorized')
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0003_indexes_of_customers_and_keys")]

    operations = [
        migrations.AlterField(
            model_name="order",
            name="payment",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("authorized", "Authorized"),
                    ("declined", "Declined"),
                    ("captured", "Captured"),
                    ("voided", "Voided"),
                    ("refunded", "Refunded"),
                ],
                default="pending",
                help_text="The payment's last known state.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="transition",
            name="by",
            field=models.CharField(
                db_default="",
                help_text="The person who caused it: customer, or admin: and a user name.",
                max_length=160,
            ),
        ),
        migrations.AddField(
            model_name="transition",
            name="note",
            field=models.CharField(db_default="", help_text="The reason that the person gave.", max_length=200),
        ),
        migrations.RunSQL(_FROM_HISTORY, migrations.RunSQL.noop),
    ]
