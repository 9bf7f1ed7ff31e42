"""Note loaded history, and find the minutes of one kind of event without reading the other kinds."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0004_event_times"),
    ]

    operations = [
        migrations.CreateModel(
            name="LoadedHistory",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("until", models.DateTimeField(help_text="Every loaded event occurred before this time.")),
                ("loaded_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddIndex(
            model_name="minute",
            index=models.Index(fields=["kind", "minute"], name="minute_of_kind"),
        ),
    ]
