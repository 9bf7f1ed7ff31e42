"""Transactions and slots that hold vacuum back: dead rows then remain, and every read of the outbox scans them."""

from dataclasses import dataclass

from relay.database import connection

# PostgreSQL shows transactions of other users only to superusers and members of pg_monitor. Vacuum itself is excluded.
_OLDEST = """
select distinct on (kind) kind, application, who, state, pid, seconds, transactions from (
    select 'session' as kind, application_name as application, usename::text as who, state, pid::text,
           extract(epoch from clock_timestamp() - xact_start)::float8 as seconds,
           greatest(age(backend_xid), age(backend_xmin)) as transactions
    from pg_stat_activity
    where pid <> pg_backend_pid() and backend_type not like 'autovacuum%%'
      and (datname = current_database() or backend_type = 'walsender')
    union all
    select 'prepared', gid, owner::text, 'prepared', '',
           extract(epoch from clock_timestamp() - prepared)::float8, age(transaction)
    from pg_prepared_xacts where database = current_database()
    union all
    select 'slot', slot_name::text, '', case when active then 'active' else 'inactive' end,
           coalesce(active_pid::text, ''),
           extract(epoch from clock_timestamp() - (to_jsonb(slot) ->> 'inactive_since')::timestamptz)::float8,
           greatest(age(xmin), age(catalog_xmin))
    from pg_replication_slots slot
) as holder
where transactions is not null
order by kind, transactions desc, seconds desc nulls last
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """The oldest session, prepared transaction or replication slot (`kind`) that holds vacuum back."""

    kind: str
    application: str
    user: str
    state: str
    pid: str
    seconds: float  # since the transaction began or the slot became inactive
    transactions: int  # that all sessions have begun since then


def read_holders() -> list[Holder]:
    """Return the oldest holder of each kind that is visible to the database user."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, [])
        return [
            Holder(kind, application or "", who or "", state or "", pid or "", seconds or 0.0, transactions)
            for kind, application, who, state, pid, seconds, transactions in cursor.fetchall()
        ]
