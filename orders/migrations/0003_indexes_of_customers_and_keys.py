import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # customers can place orders while PostgreSQL builds the indexes

    dependencies = [("orders", "0002_customer_and_scoped_keys")]

    operations = [
        AddIndexConcurrently(
            model_name="idempotencykey",
            index=django.contrib.postgres.indexes.BrinIndex(fields=["created_at"], name="idempotencykey_oldest"),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("customer__isnull", False)),
                fields=["customer", "-placed_at"],
                name="order_of_customer",
            ),
        ),
    ]
