"""Create the facts and rollups. SQL creates `activity` and `session`, because Django has no partitioned tables."""

import django.db.models.functions.datetime
from django.db import migrations, models

# A partition per day: old days are dropped as a whole. The consumer creates a partition before its first row.
CREATE_DAYS = """
create table analytics_activity (
    event_id uuid not null,
    at timestamptz not null,
    visitor uuid not null,
    kind text not null,
    sku text not null,
    quantity integer,
    amount bigint,
    currency text not null,
    order_id uuid
) partition by range (at);
create index activity_at on analytics_activity using brin (at) with (pages_per_range = 16, autosummarize = on);
create index activity_of_visitor on analytics_activity (visitor, at);
create table analytics_session (
    day date not null,
    visitor uuid not null,
    began_at timestamptz not null,
    ended_at timestamptz not null,
    events integer not null,
    views integer not null,
    carts integer not null,
    checkouts integer not null,
    orders integer not null,
    cart_units integer not null,
    cart_amount bigint,
    currency text not null,
    order_id uuid,
    primary key (day, visitor, began_at)
) partition by range (day);
"""
DROP_DAYS = "drop table analytics_activity; drop table analytics_session"
# The consumer updates these rows often. With free room in the page, an update changes no index.
LEAVE_ROOM = """
alter table analytics_orderfact set (fillfactor = 70);
alter table analytics_minute set (fillfactor = 50);
alter table analytics_producthour set (fillfactor = 50);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0001_initial"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CREATE_DAYS, DROP_DAYS)],
            state_operations=[
                migrations.CreateModel(
                    name="Activity",
                    fields=[
                        ("event_id", models.UUIDField(primary_key=True, serialize=False)),
                        ("at", models.DateTimeField()),
                        ("visitor", models.UUIDField()),
                        (
                            "kind",
                            models.TextField(
                                choices=[
                                    ("placed", "Placed"),
                                    ("reserved", "Reserved"),
                                    ("rejected", "Rejected"),
                                    ("authorized", "Authorized"),
                                    ("declined", "Declined"),
                                    ("confirmed", "Confirmed"),
                                    ("captured", "Captured"),
                                    ("failed", "Failed"),
                                    ("voided", "Voided"),
                                    ("refunded", "Refunded"),
                                    ("shipped", "Shipped"),
                                    ("delivered", "Delivered"),
                                    ("cancelled", "Cancelled"),
                                    ("low", "Low"),
                                    ("back", "Back"),
                                    ("viewed", "Viewed"),
                                    ("cart_changed", "Cart Changed"),
                                    ("checkout_started", "Checkout Started"),
                                    ("checkout_completed", "Checkout Completed"),
                                ]
                            ),
                        ),
                        ("sku", models.TextField()),
                        ("quantity", models.IntegerField(null=True)),
                        ("amount", models.BigIntegerField(null=True)),
                        ("currency", models.TextField()),
                        ("order_id", models.UUIDField(null=True)),
                    ],
                ),
                migrations.CreateModel(
                    name="Session",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "day",
                                "visitor",
                                "began_at",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("day", models.DateField()),
                        ("visitor", models.UUIDField()),
                        ("began_at", models.DateTimeField()),
                        ("ended_at", models.DateTimeField()),
                        ("events", models.IntegerField()),
                        ("views", models.IntegerField()),
                        ("carts", models.IntegerField()),
                        ("checkouts", models.IntegerField()),
                        ("orders", models.IntegerField()),
                        ("cart_units", models.IntegerField()),
                        ("cart_amount", models.BigIntegerField(null=True)),
                        ("currency", models.TextField()),
                        ("order_id", models.UUIDField(null=True)),
                    ],
                ),
            ],
        ),
        migrations.CreateModel(
            name="Arrival",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "minute", "arrived", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("minute", models.DateTimeField()),
                (
                    "arrived",
                    models.DateTimeField(help_text="Minute of the database's clock in which the events were applied."),
                ),
                ("count", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="DaySeal",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "day", "name", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("name", models.TextField(help_text="The table: activity, minute or product_hour.")),
                ("rows", models.BigIntegerField()),
                ("checksum", models.DecimalField(decimal_places=0, max_digits=40)),
                ("sealed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("restated_at", models.DateTimeField(null=True)),
                ("restated_rows", models.BigIntegerField(db_default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Minute",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "minute", "kind", "currency", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("minute", models.DateTimeField()),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("placed", "Placed"),
                            ("reserved", "Reserved"),
                            ("rejected", "Rejected"),
                            ("authorized", "Authorized"),
                            ("declined", "Declined"),
                            ("confirmed", "Confirmed"),
                            ("captured", "Captured"),
                            ("failed", "Failed"),
                            ("voided", "Voided"),
                            ("refunded", "Refunded"),
                            ("shipped", "Shipped"),
                            ("delivered", "Delivered"),
                            ("cancelled", "Cancelled"),
                            ("low", "Low"),
                            ("back", "Back"),
                            ("viewed", "Viewed"),
                            ("cart_changed", "Cart Changed"),
                            ("checkout_started", "Checkout Started"),
                            ("checkout_completed", "Checkout Completed"),
                        ]
                    ),
                ),
                ("currency", models.TextField()),
                ("count", models.BigIntegerField()),
                ("units", models.BigIntegerField()),
                ("amount", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="OrderFact",
            fields=[
                ("order_id", models.UUIDField(primary_key=True, serialize=False)),
                ("placed_at", models.DateTimeField(null=True)),
                ("reserved_at", models.DateTimeField(null=True)),
                ("rejected_at", models.DateTimeField(null=True)),
                ("authorized_at", models.DateTimeField(null=True)),
                ("declined_at", models.DateTimeField(null=True)),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("captured_at", models.DateTimeField(null=True)),
                ("shipped_at", models.DateTimeField(null=True)),
                ("delivered_at", models.DateTimeField(null=True)),
                ("cancelled_at", models.DateTimeField(null=True)),
                ("reason", models.TextField(null=True)),
                ("decline_reason", models.TextField(null=True)),
                ("currency", models.TextField(null=True)),
                ("discount", models.BigIntegerField(null=True)),
                ("shipping", models.BigIntegerField(null=True)),
                ("tax", models.BigIntegerField(null=True)),
                ("total", models.BigIntegerField(null=True)),
                ("units", models.IntegerField(null=True)),
                ("refunded", models.BigIntegerField(db_default=0)),
                ("nth_order", models.IntegerField(null=True)),
                ("first_order_month", models.TextField(null=True)),
                ("first_this_month", models.BooleanField(null=True)),
                ("channel", models.TextField(null=True)),
            ],
            options={
                "ordering": ["-placed_at", "order_id"],
            },
        ),
        migrations.CreateModel(
            name="OrderLineFact",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "order_id", "sku", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("order_id", models.UUIDField()),
                ("sku", models.TextField()),
                ("placed_at", models.DateTimeField(null=True)),
                ("quantity", models.IntegerField(null=True)),
                ("unit_price", models.BigIntegerField(null=True)),
                ("currency", models.TextField(null=True)),
                ("rejected_at", models.DateTimeField(null=True)),
                ("missing", models.IntegerField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ProductHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "hour", "sku", "currency", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("sku", models.TextField()),
                ("currency", models.TextField()),
                ("views", models.BigIntegerField(db_default=0)),
                ("carts", models.BigIntegerField(db_default=0)),
                ("ordered_units", models.BigIntegerField(db_default=0)),
                ("ordered_amount", models.BigIntegerField(db_default=0)),
                ("confirmed_units", models.BigIntegerField(db_default=0)),
                ("confirmed_amount", models.BigIntegerField(db_default=0)),
                ("rejected_units", models.BigIntegerField(db_default=0)),
                ("rejected_amount", models.BigIntegerField(db_default=0)),
            ],
        ),
        migrations.CreateModel(
            name="SoldOut",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sku", "began_at", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sku", models.TextField()),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Touched",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("visitor", models.UUIDField()),
                ("day", models.DateField()),
            ],
        ),
        migrations.AddIndex(
            model_name="arrival",
            index=models.Index(fields=["arrived"], name="arrival_arrived"),
        ),
        migrations.AddIndex(
            model_name="dayseal",
            index=models.Index(
                condition=models.Q(("restated_at", None), _negated=True), fields=["day"], name="dayseal_restated"
            ),
        ),
        migrations.AddIndex(
            model_name="orderfact",
            index=models.Index(fields=["placed_at"], name="orderfact_placed"),
        ),
        migrations.AddIndex(
            model_name="soldout",
            index=models.Index(fields=["began_at"], name="soldout_began"),
        ),
        migrations.RunSQL(LEAVE_ROOM, migrations.RunSQL.noop),
    ]
