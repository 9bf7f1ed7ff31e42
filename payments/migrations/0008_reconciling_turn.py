from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_pending_refunds")]

    operations = [
        migrations.CreateModel(
            name="ReconcilingTurn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("until", models.DateTimeField()),
                ("thorough_at", models.DateTimeField()),
            ],
        ),
    ]
