"""Create the sums of finished days: orders, durations, minutes, products. The hourly task fills them."""

from django.db import migrations, models

NAMES = ("orderday", "durationday", "minuteday", "productday")
# A second generation exists after a rebuild, and Flink's tables if Flink was used.
CHANGE_OTHERS = f"""
do $$ declare other text; name text; begin
    foreach other in array array['analytics_second', 'analytics_flink'] loop
        continue when to_regclass(other || '.analytics_session') is null;
        foreach name in array array{list(NAMES)!r} loop
            execute format('create table %I.%I (like public.%I including all)',
                           other, 'analytics_' || name, 'analytics_' || name);
        end loop;
    end loop;
end $$
"""
UNDO = "; ".join(
    f"drop table if exists {schema}.analytics_{name}"
    for schema in ("analytics_second", "analytics_flink")
    for name in NAMES
)
KEYS = ("currency", "buyer", "decline", "cancellation")
COUNTS = (
    *("placed", "ready", "decided", "confirmed", "captured", "shipped", "delivered"),
    *("confirmed_waiting", "captured_waiting", "shipped_waiting"),
)


def make_key(*columns: str) -> models.CompositePrimaryKey:
    return models.CompositePrimaryKey(*columns, blank=True, editable=False, primary_key=True, serialize=False)


class Migration(migrations.Migration):
    dependencies = [("analytics", "0030_flink_job")]
    operations = [
        migrations.CreateModel(
            name="OrderDay",
            fields=[
                ("pk", make_key("day", *KEYS)),
                ("day", models.DateField()),
                *((name, models.TextField()) for name in KEYS),
                *((name, models.BigIntegerField()) for name in COUNTS),
                ("amount", models.BigIntegerField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="DurationDay",
            fields=[
                ("pk", make_key("day", "step", "seconds")),
                ("day", models.DateField()),
                ("step", models.TextField()),
                ("seconds", models.FloatField()),
                ("orders", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="MinuteDay",
            fields=[
                ("pk", make_key("day", "kind", "currency")),
                ("day", models.DateField()),
                ("kind", models.TextField()),
                ("currency", models.TextField()),
                ("count", models.BigIntegerField()),
                ("amount", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="ProductDay",
            fields=[
                ("pk", make_key("day", "sku", "currency")),
                ("day", models.DateField()),
                ("sku", models.TextField()),
                ("currency", models.TextField()),
                *((name, models.BigIntegerField()) for name in ("views", "units", "amount")),
            ],
        ),
        migrations.RunSQL(CHANGE_OTHERS, UNDO),
    ]
