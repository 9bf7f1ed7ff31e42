"""Create the row that says what the job of Flink does."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0022_session_day"),
    ]

    operations = [
        migrations.CreateModel(
            name="FlinkJob",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("state", models.TextField()),
                ("began_at", models.DateTimeField()),
                ("detail", models.TextField(default="")),
                ("job", models.TextField(default="")),
                ("restarts", models.IntegerField(default=0)),
                ("checkpoint_at", models.DateTimeField(null=True)),
                ("until", models.DateTimeField(null=True)),
                ("waiting", models.BigIntegerField(default=0)),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="flinkjob_one_row")],
            },
        ),
    ]
