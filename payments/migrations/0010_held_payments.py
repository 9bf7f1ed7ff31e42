"""Index the payments that hold an authorization, without blocking writes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("payments", "0009_failed_captures"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("status__in", ["authorized", "failed"])),
                fields=["created_at"],
                name="payment_held",
            ),
        ),
    ]
