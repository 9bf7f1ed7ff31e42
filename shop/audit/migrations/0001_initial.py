"""Create the audit's table and the trigger that makes it append-only."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.CreateModel(
            name="StaffAction",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("actor", models.CharField(help_text="For example admin:keeper.", max_length=200)),
                (
                    "action",
                    models.CharField(help_text="For example change, delete, take off sale, cancel.", max_length=40),
                ),
                ("subject", models.CharField(help_text="For example catalogue.product:MUG.", max_length=200)),
                ("before", models.JSONField(blank=True, null=True)),
                ("after", models.JSONField(blank=True, null=True)),
                ("reason", models.TextField()),
            ],
            options={
                "ordering": ["-at", "-id"],
                "indexes": [models.Index(fields=["subject", "-at"], name="staffaction_subject")],
            },
        ),
        migrations.RunSQL(
            """
            create function audit_staffaction_append_only() returns trigger language plpgsql as $$
            begin raise exception 'audit_staffaction is append-only'; end $$;
            create trigger staffaction_append_only before update or delete on audit_staffaction
            for each row execute function audit_staffaction_append_only();
            """,
            "drop trigger staffaction_append_only on audit_staffaction; drop function audit_staffaction_append_only();",
        ),
    ]
