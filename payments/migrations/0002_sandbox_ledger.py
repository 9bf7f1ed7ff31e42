"""Create the sandbox gateway's ledger in its own schema. No table of the shop refers to it."""

from django.db import migrations

CREATE = """
create schema sandbox_gateway;
create table sandbox_gateway.ledger (
    id bigint generated always as identity primary key,
    idempotency_key text not null unique,
    operation text not null check (operation in ('authorize', 'capture', 'void')),
    reference text not null,
    amount bigint not null,
    currency text not null,
    outcome text not null check (outcome in ('approved', 'declined')),
    reason text not null,
    created_at timestamptz not null default clock_timestamp());
create index on sandbox_gateway.ledger (reference);
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, "drop schema sandbox_gateway cascade")]
