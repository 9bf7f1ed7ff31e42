"""Django adds to each unique text a second index for `LIKE 'x%'`. Nobody asks that of numbers and keys."""

from django.db import migrations

_INDEXES = {
    "orders_order_number_abc9e0f2_like": "orders_order (number varchar_pattern_ops)",
    "orders_idempotencykey_key_52fbaa57_like": "orders_idempotencykey (key varchar_pattern_ops)",
}


class Migration(migrations.Migration):
    atomic = False  # so that orders are placed while the indexes go

    dependencies = [("orders", "0006_wholly_refunded")]

    operations = [
        migrations.RunSQL(f"drop index concurrently if exists {name}", f"create index concurrently {name} on {columns}")
        for name, columns in _INDEXES.items()
    ]
