"""Set `payment` to refunded only when the whole amount is refunded. Before, the first partial refund was enough."""

from django.db import migrations

# Computed from the refund events of each order, if the outbox still has all of them.
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
