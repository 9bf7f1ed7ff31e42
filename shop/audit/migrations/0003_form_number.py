"""Store the number of the form that caused a change, once for each changed row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_no_truncate")]
    operations = [
        migrations.AddField(
            "staffaction",
            "form",
            models.UUIDField(
                null=True,
                editable=False,
                help_text="The number of the form, so that a form sent twice changes a row once.",
            ),
        ),
        migrations.AddConstraint(
            "staffaction",
            models.UniqueConstraint(
                fields=["form", "subject"],
                condition=models.Q(form__isnull=False),
                name="staffaction_once_per_form",
            ),
        ),
    ]
