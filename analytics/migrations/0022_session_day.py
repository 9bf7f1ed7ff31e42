"""Create the sums of finished days, the index of the cohorts, and the function that gives the current generation.

The function replaces two statements of each transaction of the consumer. Its lock is 7_262_179_020 in
analytics/generation.py. Each statement of a PL/pgSQL function has a new snapshot, so the second one sees a switch that
the first one waited for.
"""

from django.db import migrations, models

CREATE = """
create function analytics_share_current() returns text language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(7262179020);
    return coalesce((select schema from public.analytics_generationchoice), 'public');
end $$;
"""
# A second generation exists after a rebuild.
CHANGE_SECOND = """
do $$ begin
    if to_regclass('analytics_second.analytics_session') is not null then
        create table analytics_second.analytics_sessionday (like public.analytics_sessionday including all);
        create index orderfact_cohort on analytics_second.analytics_orderfact (placed_at, first_order_month)
            where first_this_month;
    end if;
end $$
"""
COUNTS = ("sessions", "visited", "with_order", "viewed", "cart", "checkout", "ordered", "abandoned")


class Migration(migrations.Migration):
    dependencies = [("analytics", "0021_archive")]
    operations = [
        migrations.RunSQL(CREATE, "drop function analytics_share_current()"),
        migrations.AddIndex(
            model_name="orderfact",
            index=models.Index(
                condition=models.Q(("first_this_month", True)),
                fields=["placed_at", "first_order_month"],
                name="orderfact_cohort",
            ),
        ),
        migrations.CreateModel(
            name="SessionDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "day", "currency", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("currency", models.TextField()),
                *((name, models.BigIntegerField()) for name in COUNTS),
                (
                    "amount",
                    models.BigIntegerField(
                        help_text="The total of the abandoned carts, as far as it is known.", null=True
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            CHANGE_SECOND,
            "drop table if exists analytics_second.analytics_sessionday;"
            " drop index if exists analytics_second.orderfact_cohort",
        ),
    ]
