"""Add the permission to cancel orders. The permission to change orders no longer includes it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0007_no_pattern_indexes")]
    operations = [
        migrations.AlterModelOptions(
            "order",
            {
                "ordering": ["-placed_at"],
                "permissions": [("cancel_order", "Can cancel an order that is not shipped")],
            },
        ),
    ]
