"""Add the index that finds a payment by the gateway's reference, without blocking writes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("payments", "0011_refund_permission"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("gateway_reference", ""), _negated=True),
                fields=["gateway_reference"],
                name="payment_of_reference",
            ),
        ),
    ]
