"""Add the permission to cancel orders. The permission to change orders no longer includes it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0008_failed_captures")]
    operations = [
        migrations.AlterModelOptions(
            "order",
            {
                "ordering": ["-placed_at"],
                "permissions": [("cancel_order", "Can cancel an order that is not shipped")],
            },
        ),
    ]
