"""Drop the second index that Django adds to a unique text for `LIKE 'x%'`. No query of the shop needs these two."""

from django.db import migrations

_INDEXES = {
    "orders_order_number_abc9e0f2_like": "orders_order (number varchar_pattern_ops)",
    "orders_idempotencykey_key_52fbaa57_like": "orders_idempotencykey (key varchar_pattern_ops)",
}


class Migration(migrations.Migration):
    atomic = False  # customers can place orders while PostgreSQL drops the indexes

    dependencies = [("orders", "0006_wholly_refunded")]

    operations = [
        migrations.RunSQL(f"drop index concurrently if exists {name}", f"create index concurrently {name} on {columns}")
        for name, columns in _INDEXES.items()
    ]
