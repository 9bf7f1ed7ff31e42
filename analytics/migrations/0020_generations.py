"""Create the row that names the generation that readers read, and the pairs of products."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0010_loaded_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProductPair",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sku", "other", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sku", models.TextField()),
                ("other", models.TextField()),
                ("orders", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="GenerationChoice",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("schema", models.TextField(default="public")),
                ("other", models.TextField(blank=True, default="")),
                ("switched_at", models.DateTimeField(null=True)),
                ("began_at", models.DateTimeField(null=True)),
                ("actor", models.TextField(blank=True, default="")),
                ("reason", models.TextField(blank=True, default="")),
                ("position", models.BigIntegerField(default=0)),
                ("target", models.BigIntegerField(default=0)),
                ("events", models.BigIntegerField(default=0)),
                ("rate", models.FloatField(default=0)),
                ("beat_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="generationchoice_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(("schema", models.F("other")), _negated=True),
                        name="generationchoice_two_schemas",
                    ),
                ],
            },
        ),
    ]
