"""Let a payment be failed: the gateway did not capture it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0007_no_pattern_indexes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="order",
            name="payment",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("authorized", "Authorized"),
                    ("declined", "Declined"),
                    ("captured", "Captured"),
                    ("failed", "Failed"),
                    ("voided", "Voided"),
                    ("refunded", "Refunded"),
                ],
                default="pending",
                help_text="The payment's last known state.",
                max_length=10,
            ),
        ),
    ]
