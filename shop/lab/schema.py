"""The tables of the lab: the schema `lab` for runs and requests, the schema `lab_seed` for the synchronous shop.

Only a process of the lab creates them. No migration does, so a shop without LAB=1 never has these tables.
"""

from zlib import crc32

from django.db import connection, transaction

#: Serialises two processes that create the tables at the same time.
_LOCK = 7_318_042_215
_TABLES = """
create schema lab;
create schema lab_seed;
create table lab.run (
    id bigint generated always as identity primary key,
    scenario text not null,
    state text not null default 'wanted',      -- wanted, running, checking, done, stopped, failed
    rate float8 not null,                      -- orders per real second to each shop
    factor int not null,                       -- shop seconds per real second of the synchronous shop
    seed int not null,
    seconds float8 not null,                   -- shop seconds of arrivals
    wanted_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    ended_at timestamptz,
    watched_at timestamptz,                    -- the last look of a page; null: no page started the run
    stop_wanted boolean not null default false,
    step text not null default '',
    result jsonb);
create table lab.switch (
    id bigint generated always as identity primary key,
    run bigint not null references lab.run on delete cascade,
    part text not null,
    starts float8 not null,                    -- real seconds since the run's start
    ends float8 not null,
    off_at timestamptz, on_at timestamptz,     -- when the part was really switched off and on
    running_at timestamptz);                   -- when the part of our shop was healthy again
create table lab.request (
    run bigint not null references lab.run on delete cascade,
    shop text not null,                        -- ours, seed or queue
    number int not null,                       -- the same number is the same order in each shop
    due float8 not null,                       -- real seconds since the run's start
    asked float8 not null,
    answered float8,
    status int,
    outcome text,                              -- ok, sold out, failed, gave up; null: no answer yet
    total bigint not null,
    order_id uuid,
    primary key (run, shop, number));
create table lab.backlog (
    run bigint not null references lab.run on delete cascade,
    shop text not null, second int not null, waiting int not null,
    primary key (run, shop, second));
create table lab.latecomer (
    run bigint not null, event_id uuid not null, order_id uuid not null, total bigint not null,
    primary key (run, event_id));
create table lab_seed.stock (sku text primary key, available int not null);
create table lab_seed.placed (
    run bigint, number int, total bigint not null, at timestamptz not null default clock_timestamp());
create table lab_seed.payment (like lab_seed.placed including defaults);
create table lab_seed.sale (like lab_seed.placed including defaults);
create table lab_seed.letter (
    run bigint, number int, at timestamptz not null default clock_timestamp());
create table lab_seed.queued (like lab_seed.placed including defaults, done_at timestamptz);
create index placed_of_run on lab_seed.placed (run);
create index payment_of_run on lab_seed.payment (run);
create index sale_of_run on lab_seed.sale (run);
create index queued_of_run on lab_seed.queued (run, number);
create view lab.second as
select run, shop, second, sum(asked) as asked, sum(answered) as answered, sum(ok) as ok, sum(failed) as failed,
       sum(lost) as lost, max(p50) as p50, max(p95) as p95
from (select run, shop, floor(due)::int as second, count(*) as asked, 0 as answered, 0 as ok, 0 as failed,
             0::numeric as lost, null::float8 as p50, null::float8 as p95
      from lab.request group by run, shop, floor(due)
      union all
      select run, shop, floor(answered)::int, 0, count(*), count(*) filter (where outcome = 'ok'),
             count(*) filter (where outcome in ('failed', 'gave up')),
             coalesce(sum(total) filter (where outcome in ('failed', 'gave up')), 0),
             percentile_cont(0.5) within group (order by answered - due),
             percentile_cont(0.95) within group (order by answered - due)
      from lab.request where answered is not null group by run, shop, floor(answered)) as both_ends
group by run, shop, second;
"""


#: The version of the tables. Another version of the lab drops them: runs are experiments, and nothing else reads them.
_VERSION = f"{crc32(_TABLES.encode()):08x}"


def create_tables() -> None:
    """Create the schemas, tables and the view of figures per second, unless this version has created them."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        if have_tables():
            return
        first = _find_next_id()
        cursor.execute("drop schema if exists lab, lab_seed cascade")
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                cursor.execute(statement)
        cursor.execute(f"alter table lab.run alter id restart with {first}")
        cursor.execute(f"comment on schema lab is '{_VERSION}'")


def _find_next_id() -> int:
    """Return the id of the next run. An id is never used twice: orders' idempotency keys and products contain it."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass('lab.run') is not null")
        if not cursor.fetchone()[0]:
            return 1
        cursor.execute("select coalesce(max(id), 0) + 1 from lab.run")
        return int(cursor.fetchone()[0])


def have_tables() -> bool:
    """Return whether this version's tables exist: a page may be opened before the lab's process has created them."""
    with connection.cursor() as cursor:
        cursor.execute("select obj_description(to_regnamespace('lab')) = %s", [_VERSION])
        return bool(cursor.fetchone()[0])
