"""Create the table of the archive's files, and the progress of a rebuild from it and with two processes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0020_generations"),
    ]

    operations = [
        migrations.CreateModel(
            name="ArchivedDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "day", "part", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("part", models.SmallIntegerField(help_text="1, or more for the rows of late events.")),
                ("file", models.TextField(help_text="The name of the file in ANALYTICS_ARCHIVE_DIR.")),
                ("rows", models.BigIntegerField()),
                (
                    "checksum",
                    models.DecimalField(decimal_places=0, help_text="Of the rows in the file.", max_digits=40),
                ),
                ("bytes", models.BigIntegerField()),
                ("archived_at", models.DateTimeField()),
                ("dropped_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="generationchoice",
            name="is_restoring",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="generationchoice",
            name="restored_day",
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name="generationchoice",
            name="restored_rows",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="generationchoice",
            name="second_position",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="generationchoice",
            name="second_events",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
