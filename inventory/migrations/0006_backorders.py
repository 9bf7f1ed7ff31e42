"""Let orders wait for pieces that undecided orders hold. Old consumers leave the new column and table alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0005_events_first"),
    ]

    operations = [
        migrations.AddField(
            model_name="stock",
            name="waiting",
            field=models.PositiveIntegerField(
                db_default=0, default=0, help_text="Orders that wait for pieces which undecided orders hold."
            ),
        ),
        migrations.CreateModel(
            name="Backorder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("order_id", models.UUIDField()),
                ("event_id", models.UUIDField(help_text="Id of the OrderPlaced event.")),
                ("sku", models.CharField(max_length=32, verbose_name="SKU")),
                ("quantity", models.IntegerField()),
                ("due_at", models.DateTimeField(help_text="When the order is rejected.")),
            ],
            options={
                "ordering": ["id"],
                "indexes": [models.Index(fields=["sku"], name="backorder_of_sku")],
                "constraints": [
                    models.UniqueConstraint(fields=("order_id", "sku"), name="backorder_once_per_order_and_sku"),
                    models.CheckConstraint(
                        condition=models.Q(("quantity__gt", 0)), name="backorder_quantity_is_positive"
                    ),
                ],
            },
        ),
    ]
