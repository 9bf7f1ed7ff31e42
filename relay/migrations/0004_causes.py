"""Store the cause of each parked key: a fingerprint that groups keys by cause, and the traceback of the last failure.

A trigger computes the fingerprint, so that processes of the former version store it, too.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# Reasons that differ only in numbers and ids have one cause. Ten or more capitals and digits are an id, too.
CREATE_FUNCTIONS = r"""
create or replace function relay_generalise(reason text) returns text language sql immutable parallel safe as $$
    select left(regexp_replace(reason,
        '\m([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|[0-9a-f]{16,}|[0-9A-Z]{10,})\M|[0-9]+',
        '#', 'g'), 500)
$$;
create or replace function relay_fingerprint(consumer text, type text, reason text) returns text
language sql immutable parallel safe as $$
    select md5(concat_ws(e'\n', consumer, type, relay_generalise(reason)))
$$;
create or replace function relay_note_cause() returns trigger language plpgsql as $$
begin
    if new.parked_at is null then
        new.fingerprint := null;
        new.traceback := null;
    else
        new.fingerprint := relay_fingerprint(new.consumer, coalesce((
            select type from relay_outbox o
            where o.key = new.key and o.topic = new.topic and o.sequence = new.last + 1 limit 1), ''), new.reason);
    end if;
    return new;
end $$;
create trigger cursor_inserted_parked before insert on relay_cursor for each row
when (new.parked_at is not null) execute function relay_note_cause();
create trigger cursor_parked before update of reason on relay_cursor for each row
execute function relay_note_cause();
"""
DROP_FUNCTIONS = """
drop trigger cursor_parked on relay_cursor;
drop trigger cursor_inserted_parked on relay_cursor;
drop function relay_note_cause();
drop function relay_fingerprint(text, text, text);
drop function relay_generalise(text);
"""


class Migration(migrations.Migration):
    atomic = False  # consumers continue while PostgreSQL builds the index

    dependencies = [
        ("relay", "0003_times_of_cursors"),
    ]

    operations = [
        migrations.AddField(
            model_name="cursor",
            name="fingerprint",
            field=models.TextField(help_text="The same for all parked keys of one cause.", null=True),
        ),
        migrations.AddField(
            model_name="cursor",
            name="traceback",
            field=models.TextField(help_text="The traceback of the last failure, shortened.", null=True),
        ),
        migrations.RunSQL(CREATE_FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(
            "update relay_cursor set reason = reason where parked_at is not null", migrations.RunSQL.noop
        ),
        AddIndexConcurrently(
            model_name="cursor",
            index=models.Index(
                condition=models.Q(("parked_at", None), _negated=True),
                fields=["fingerprint", "parked_at", "id"],
                name="cursor_cause",
            ),
        ),
    ]
