"""Interventions can't be emptied either. Truncating an empty table loses nothing: Django's flush does so in tests."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("relay", "0002_full_strength")]
    operations = [
        migrations.RunSQL(
            """
            create function relay_refuse_truncate() returns trigger language plpgsql as $$
            begin
                if exists (select from relay_intervention) then
                    raise exception 'relay_intervention is append-only';
                end if;
                return null;
            end $$;
            create trigger intervention_not_truncated before truncate on relay_intervention
            for each statement execute function relay_refuse_truncate();
            """,
            "drop trigger intervention_not_truncated on relay_intervention; drop function relay_refuse_truncate();",
        ),
    ]
