"""Events come in the order of their ids: the ledger's index grows at its end instead of everywhere."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0004_one_index_less"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="movement", name="movement_once_per_event_and_sku"),
        migrations.AddConstraint(
            model_name="movement",
            constraint=models.UniqueConstraint(fields=("event_id", "sku"), name="movement_once_per_event_and_sku"),
        ),
    ]
