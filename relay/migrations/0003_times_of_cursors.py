"""Add the times of application and the repeats to cursors, an index of interventions, and the permission for payloads.

Constant defaults add the columns without rewriting the table. Old consumers may run meanwhile: they store no times.
"""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("relay", "0002_foreign_records"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="outbox",
            options={
                "permissions": [("view_payload", "Can read whole payloads of events")],
                "verbose_name": "outbox row",
            },
        ),
        migrations.AddField(
            model_name="cursor",
            name="applied_at",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.DateTimeField(null=True),
                db_default=[],
                help_text="When the events up to `last` were applied, the newest last. A skipped event has no time.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="cursor",
            name="repeats",
            field=models.IntegerField(db_default=0, help_text="Records of applied events that were dropped."),
        ),
        migrations.AddField(
            model_name="cursor",
            name="repeated_at",
            field=models.DateTimeField(help_text="When the last repeat was dropped.", null=True),
        ),
        migrations.AddIndex(
            model_name="intervention",
            index=models.Index(
                condition=models.Q(("key", ""), _negated=True), fields=["key"], name="intervention_of_key"
            ),
        ),
    ]
