"""Create the function that gives the current generation.

The function replaces two statements of each transaction of the consumer. Its lock is 7_262_179_020 in
analytics/generation.py. Each statement of a PL/pgSQL function has a new snapshot, so the second one sees a switch that
the first one waited for.
"""

from django.db import migrations

CREATE = """
create function analytics_share_current() returns text language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(7262179020);
    return coalesce((select schema from public.analytics_generationchoice), 'public');
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0020_generations")]
    operations = [
        migrations.RunSQL(CREATE, "drop function analytics_share_current()"),
    ]
