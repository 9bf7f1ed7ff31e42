"""Add the permission to refund payments. The permission to change payments no longer includes it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0010_held_payments")]
    operations = [
        migrations.AlterModelOptions(
            "payment",
            {
                "ordering": ["-created_at"],
                "permissions": [("refund_payment", "Can refund a captured payment")],
            },
        ),
    ]
