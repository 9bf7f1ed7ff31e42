"""Drop indexes that slow down each reservation, and leave room in the pages of stock rows for updates in place."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0002_low_stock_and_actors"),
    ]

    operations = [
        migrations.AlterField(
            model_name="movement",
            name="order_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name="movement",
            name="sku",
            field=models.CharField(max_length=32, verbose_name="SKU"),
        ),
        migrations.AddIndex(
            model_name="movement",
            index=models.Index(fields=["sku"], name="movement_of_sku"),
        ),
        migrations.RunSQL("alter table inventory_stock set (fillfactor = 50)", migrations.RunSQL.noop),
    ]
