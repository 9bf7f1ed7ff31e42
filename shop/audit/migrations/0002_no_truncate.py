"""Refuse to truncate the audit's table if it has rows. Django's flush in tests truncates the empty table."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [
        migrations.RunSQL(
            """
            create function audit_staffaction_refuse_truncate() returns trigger language plpgsql as $$
            begin
                if exists (select from audit_staffaction) then
                    raise exception 'audit_staffaction is append-only';
                end if;
                return null;
            end $$;
            create trigger staffaction_not_truncated before truncate on audit_staffaction
            for each statement execute function audit_staffaction_refuse_truncate();
            """,
            "drop trigger staffaction_not_truncated on audit_staffaction;"
            "drop function audit_staffaction_refuse_truncate();",
        ),
    ]
