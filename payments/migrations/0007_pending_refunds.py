"""Let a refund be pending at the gateway for days, with its own due time."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0006_cases")]

    operations = [
        migrations.AlterField(
            model_name="refund",
            name="status",
            field=models.CharField(
                choices=[("wanted", "Wanted"), ("pending", "Pending"), ("done", "Done"), ("declined", "Declined")],
                default="wanted",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="refund",
            name="due_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                help_text="When a worker may send it or look it up.",
            ),
        ),
    ]
