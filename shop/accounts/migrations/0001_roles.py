"""Create the groups of staff: support, warehouse, finance and operator.

The migration creates a missing group and changes no existing one. It runs once, so a site's changes to the groups are
kept. Django creates permissions only after the last migration, therefore this migration creates them first.
"""

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

_SEE_ORDERS = ["orders.view_order", "orders.view_orderline", "orders.view_transition"]
_SEE_PAYMENTS = ["payments.view_payment", "payments.view_attempt", "payments.view_refund"]
_SEE_STOCK = ["inventory.view_stock", "inventory.view_reservation", "inventory.view_movement"]
_SEE_CATALOGUE = ["catalogue.view_category", "catalogue.view_product"]
GROUPS = {
    # Answers customers: sees everything about an order, cancels it, and sends failed letters again.
    "support": [
        *(*_SEE_ORDERS, *_SEE_PAYMENTS, *_SEE_STOCK, *_SEE_CATALOGUE),
        *("contacts.view_contact", "notifications.view_message", "notifications.change_message"),
        "orders.cancel_order",
    ],
    # Receives and counts stock, ships orders, and therefore sees addresses.
    "warehouse": [
        *(*_SEE_ORDERS, *_SEE_STOCK, *_SEE_CATALOGUE),
        *("contacts.view_contact", "orders.change_order", "inventory.add_stock", "inventory.change_stock"),
    ],
    # Refunds, closes cases, and reads the sales. Sees no addresses.
    "finance": [
        *(*_SEE_ORDERS, *_SEE_PAYMENTS, "payments.refund_payment", "payments.view_case", "payments.change_case"),
        *("orders.view_promotion", "analytics.view_sale", "analytics.view_salesminute"),
    ],
    # Runs the relay: sends refused events again, redrives and skips parked keys, pauses and resumes consumers. Sees the
    # way of an order, but no addresses.
    "operator": [
        *("relay.view_outbox", "relay.change_outbox", "relay.view_parkedkey", "relay.change_parkedkey"),
        *("relay.view_consumerstate", "relay.change_consumerstate", "relay.view_shardlease", "relay.view_relaymember"),
        *("relay.view_intervention", "analytics.view_activityminute", "orders.view_order"),
    ],
}
_APPS = ["relay", "catalogue", "contacts", "orders", "inventory", "payments", "notifications", "analytics"]


def create_groups(apps: Any, schema_editor: Any) -> None:
    """Create the missing ones of GROUPS with their permissions."""
    alias = schema_editor.connection.alias
    for label in _APPS:
        app = apps.get_app_config(label)
        app.models_module = True  # create_permissions skips an app without this attribute
        create_permissions(app, verbosity=0, interactive=False, using=alias, apps=apps)
        app.models_module = None
    groups = apps.get_model("auth", "Group").objects.using(alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for name, names in GROUPS.items():
        group, is_new = groups.get_or_create(name=name)
        if is_new:
            wanted = [tuple(permission.split(".")) for permission in names]
            group.permissions.set(
                [permissions.get(content_type__app_label=app, codename=codename) for app, codename in wanted]
            )


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("relay", "0001_initial"),
        ("catalogue", "0003_version"),
        ("contacts", "0001_initial"),
        ("orders", "0009_cancel_permission"),
        ("inventory", "0005_events_first"),
        ("payments", "0011_refund_permission"),
        ("notifications", "0001_initial"),
        ("analytics", "0001_initial"),
    ]
    operations = [migrations.RunPython(create_groups, migrations.RunPython.noop)]
