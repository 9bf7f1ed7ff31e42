"""An order is refunded once all of its money went back. So far it was after the first part, and only if cancelled."""

from django.db import migrations

# Told by the events in the order's history, where none of them is pruned.
_FROM_EVENTS = """
update orders_order as o set payment = case when said.back < o.total then 'captured' else 'refunded' end
from (select t.order_id, sum((e.body::jsonb ->> 'amount')::bigint) as back
      from orders_transition t
      left join relay_outbox e
        on e.topic = 'shop.payments' and e.key = t.order_id::text and e.event_id = t.event_id
      where t.event = 'PaymentRefunded'
      group by t.order_id having count(*) = count(e.event_id)) as said
where said.order_id = o.id and o.payment in ('captured', 'refunded')
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_checkout"), ("relay", "0001_initial")]

    operations = [migrations.RunSQL(_FROM_EVENTS, migrations.RunSQL.noop)]
