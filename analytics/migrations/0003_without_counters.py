"""Drop the counters of 0001. The facts replace them.

Stop the processes of the old code first: they would park the keys of events that they can't count, until the new code
retries these keys.

Nothing is lost. The cursors of the consumer are deleted, so its processes apply all events of the outbox again, to the
facts. The outbox no longer has pruned events, therefore their sales and counts are copied: orders by minute, without
the later milestones.
"""

from django.db import migrations

KEEP_PRUNED = """
with sale as (
    select s.* from analytics_sale s
    where not exists (select from relay_outbox o where o.event_id = s.event_id and o.key = s.order_id::text)),
fact as (
    insert into analytics_orderfact (order_id, placed_at, confirmed_at, cancelled_at, currency, total, units)
    select order_id, min(minute) filter (where kind = 'placed'), min(minute) filter (where kind = 'confirmed'),
           min(minute) filter (where kind = 'cancelled'), min(currency), min(revenue), min(units)
    from sale group by order_id)
insert into analytics_minute (minute, kind, currency, count, units, amount)
select minute, kind, currency, count(*), sum(units), sum(revenue) from sale group by minute, kind, currency;
insert into analytics_minute (minute, kind, currency, count, units, amount)
select minute, kind, '', count, 0, 0 from analytics_activityminute
where minute < (select coalesce(min(date_trunc('minute', occurred_at, 'UTC')), 'infinity') from relay_outbox
                where topic = 'shop.activity');
"""
APPLY_AGAIN = """
delete from relay_cursor where consumer = 'analytics';
delete from relay_settled where consumer = 'analytics';
"""


class Migration(migrations.Migration):
    # The roles name permissions of the counters.
    dependencies = [("analytics", "0002_facts"), ("relay", "0001_initial"), ("accounts", "0001_roles")]

    operations = [
        migrations.RunSQL(KEEP_PRUNED, migrations.RunSQL.noop),
        migrations.RunSQL(APPLY_AGAIN, migrations.RunSQL.noop),
        migrations.DeleteModel(name="ActivityMinute"),
        migrations.DeleteModel(name="Sale"),
        migrations.DeleteModel(name="SalesMinute"),
    ]
