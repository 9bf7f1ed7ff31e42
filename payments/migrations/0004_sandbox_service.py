"""Let an authorization end only once, by a unique index, and count the calls of each idempotency key for scripts."""

from django.db import migrations

CREATE = """
create unique index ledger_ends_once on sandbox_gateway.ledger (reference)
    where operation in ('capture', 'void') and outcome = 'approved';
create table sandbox_gateway.call (idempotency_key text primary key, calls integer not null);
"""
DROP = """
drop index sandbox_gateway.ledger_ends_once;
drop table sandbox_gateway.call;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_refunds")]
    operations = [migrations.RunSQL(CREATE, DROP)]
