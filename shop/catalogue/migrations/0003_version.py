"""Create the catalogue's version number and the triggers that change it in each transaction."""

from django.db import migrations, models

TABLES = ("catalogue_product", "catalogue_category")
# The triggers are deferred to the commit. A transaction that waits here already holds all its locks and needs no other,
# so it can't deadlock. The setting limits the triggers to one update for each transaction.
_CREATE = """
create sequence catalogue_version_number;
create function catalogue_renumber() returns trigger language plpgsql as $$
begin
    if current_setting('shop.catalogue_renumbered_by', true) is distinct from pg_current_xact_id()::text then
        insert into catalogue_catalogueversion (id, number) values (1, nextval('catalogue_version_number'))
        on conflict (id) do update set number = excluded.number;
        perform set_config('shop.catalogue_renumbered_by', pg_current_xact_id()::text, true);
    end if;
    return null;
end $$;
"""
_CREATE_TRIGGERS = """
create constraint trigger {table}_renumbered after insert or update or delete on {table}
deferrable initially deferred for each row execute function catalogue_renumber();
create trigger {table}_truncated after truncate on {table} for each statement execute function catalogue_renumber();
"""
_DROP = "".join(f"drop trigger {t}_renumbered on {t}; drop trigger {t}_truncated on {t};" for t in TABLES) + (
    "drop function catalogue_renumber(); drop sequence catalogue_version_number;"
)


class Migration(migrations.Migration):
    dependencies = [
        ("catalogue", "0002_cap_for_each_customer"),
    ]

    operations = [
        migrations.CreateModel(
            name="CatalogueVersion",
            fields=[
                ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(_CREATE + "".join(_CREATE_TRIGGERS.format(table=table) for table in TABLES), _DROP),
    ]
