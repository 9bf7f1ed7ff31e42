"""End all log-ins of an account when its password changes, also when a command or a statement changes it.

A trigger is used because Django sends no signal for a new password, and none at all for QuerySet.update().
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_roles"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("knox", "0009_extend_authtoken_field"),
    ]
    operations = [
        migrations.RunSQL(
            """
            create function accounts_end_log_ins() returns trigger language plpgsql as $$
            begin
                delete from knox_authtoken where user_id = new.id;
                return null;
            end $$;
            create trigger new_password_ends_log_ins after update of password on auth_user
            for each row when (old.password is distinct from new.password) execute function accounts_end_log_ins();
            """,
            "drop trigger new_password_ends_log_ins on auth_user; drop function accounts_end_log_ins();",
        ),
    ]
