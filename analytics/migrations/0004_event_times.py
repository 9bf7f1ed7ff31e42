"""Index the outbox by event time, for the search of unapplied events that occurred before others.

A BRIN index costs publishers nothing: it has one entry for each range of pages. The partitions are indexed one by one
without blocking writers, then attached to the index of the whole table.
"""

from typing import Any

from django.db import migrations

INDEX = "outbox_occurred"
OPTIONS = "using brin (occurred_at) with (pages_per_range = 32, autosummarize = on)"
PARTITIONS = "select inhrelid::regclass::text from pg_inherits where inhparent = 'relay_outbox'::regclass"


def create_index(apps: Any, schema_editor: Any) -> None:
    """Create the index. A repetition after an interruption continues."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"create index if not exists {INDEX} on only relay_outbox {OPTIONS}")
        cursor.execute(PARTITIONS)
        for (partition,) in cursor.fetchall():
            name = f"{partition}_occurred"
            cursor.execute(f"drop index if exists {name}")
            cursor.execute(f"create index concurrently {name} on {partition} {OPTIONS}")
            cursor.execute(f"alter index {INDEX} attach partition {name}")


def drop_index(apps: Any, schema_editor: Any) -> None:
    """Drop the index of all partitions."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"drop index {INDEX}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("analytics", "0003_without_counters"), ("relay", "0001_initial")]
    operations = [migrations.RunPython(create_index, drop_index)]
