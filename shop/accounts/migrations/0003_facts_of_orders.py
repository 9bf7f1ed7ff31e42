"""Let finance read the facts about orders, which replace the sales, and delete the permissions of the old counters."""

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

_OLD = ["sale", "salesminute", "activityminute"]


def grant(apps: Any, schema_editor: Any) -> None:
    """Give `view_orderfact` to each group that may view the sales, then delete the permissions of the counters."""
    alias = schema_editor.connection.alias
    app = apps.get_app_config("analytics")
    app.models_module = True  # create_permissions skips an app without this attribute
    create_permissions(app, verbosity=0, interactive=False, using=alias, apps=apps)
    app.models_module = None
    permissions = apps.get_model("auth", "Permission").objects.using(alias).filter(content_type__app_label="analytics")
    new = permissions.get(codename="view_orderfact")
    for group in apps.get_model("auth", "Group").objects.using(alias).filter(permissions__codename="view_sale"):
        group.permissions.add(new)
    permissions.filter(content_type__model__in=_OLD).delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_new_password_ends_log_ins"), ("analytics", "0003_without_counters")]
    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
