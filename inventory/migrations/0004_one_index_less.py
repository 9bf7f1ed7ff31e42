"""Use one index for the ledger's constraint and for the search by SKU."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0003_fewer_indexes"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="movement", name="movement_once_per_event_and_sku"),
        migrations.AddConstraint(
            model_name="movement",
            constraint=models.UniqueConstraint(fields=("sku", "event_id"), name="movement_once_per_event_and_sku"),
        ),
        migrations.RemoveIndex(model_name="movement", name="movement_of_sku"),
    ]
