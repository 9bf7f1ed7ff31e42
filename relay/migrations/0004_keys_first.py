"""What differs stands first in an index: each look-up compared names before it that are always the same."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("relay", "0003_no_truncate"),
    ]

    operations = [
        migrations.RunSQL(
            "alter table relay_stream drop constraint relay_stream_pkey, add primary key (key, topic)",
            "alter table relay_stream drop constraint relay_stream_pkey, add primary key (topic, key)",
            state_operations=[
                migrations.AlterField(
                    model_name="stream",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "key", "topic", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(model_name="cursor", name="cursor_of_key"),
        migrations.AddConstraint(
            model_name="cursor",
            constraint=models.UniqueConstraint(
                models.F("key"), models.F("topic"), models.F("consumer"), name="cursor_of_key"
            ),
        ),
        migrations.RemoveIndex(model_name="outbox", name="outbox_of_key"),
        migrations.AddIndex(
            model_name="outbox",
            index=models.Index(fields=["key", "topic", "sequence"], name="outbox_of_key"),
        ),
    ]
