from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="NotRecorded",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "minute", "type", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("minute", models.DateTimeField(help_text="Minute in which the events occurred.")),
                ("type", models.TextField(help_text="The CloudEvents type, for example ProductViewed.v1.")),
                ("count", models.IntegerField()),
            ],
        ),
    ]
