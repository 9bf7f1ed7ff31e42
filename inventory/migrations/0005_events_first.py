"""Put the event id first in the ledger's index. Events arrive in id order, so the index grows only at its end."""

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
