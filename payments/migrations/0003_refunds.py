"""Create refunds, and the captured and refunded amounts of payments. All earlier captures were of the full amount."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

SANDBOX = """
alter table sandbox_gateway.ledger drop constraint ledger_operation_check;
alter table sandbox_gateway.ledger add constraint ledger_operation_check
    check (operation in ('authorize', 'capture', 'void', 'refund'));
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_sandbox_ledger"),
    ]

    operations = [
        migrations.CreateModel(
            name="Refund",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField(help_text="Position among the payment's refunds, from 1.")),
                ("amount", models.PositiveBigIntegerField(help_text="In minor units of the payment's currency.")),
                ("reason", models.CharField(max_length=200)),
                (
                    "requested_by",
                    models.CharField(help_text="A staff member, or the id of an event.", max_length=150),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("wanted", "Wanted"), ("done", "Done"), ("declined", "Declined")],
                        default="wanted",
                        max_length=10,
                    ),
                ),
                ("answer", models.CharField(blank=True, help_text="Why the gateway declined.", max_length=200)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["payment_id", "number"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_wants_what_can_be_done",
        ),
        migrations.AddField(
            model_name="payment",
            name="captured_amount",
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text="In minor units."),
        ),
        migrations.AddField(
            model_name="payment",
            name="refunded_amount",
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text="In minor units."),
        ),
        migrations.RunSQL(
            "update payments_payment set captured_amount = amount where status = 'captured'", migrations.RunSQL.noop
        ),
        migrations.RunSQL(SANDBOX, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="attempt",
            name="operation",
            field=models.CharField(
                choices=[("authorize", "Authorize"), ("capture", "Capture"), ("void", "Void"), ("refund", "Refund")],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("authorized", "Authorized"),
                    ("declined", "Declined"),
                    ("captured", "Captured"),
                    ("voided", "Voided"),
                    ("refunded", "Refunded"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="wanted",
            field=models.CharField(
                choices=[
                    ("authorize", "Authorize"),
                    ("capture", "Capture"),
                    ("void", "Void"),
                    ("refund", "Refund"),
                    ("nothing", "Nothing"),
                ],
                default="authorize",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "pending"), ("wanted__in", ["authorize", "void"])),
                    models.Q(("status", "authorized"), ("wanted__in", ["capture", "void", "refund", "nothing"])),
                    models.Q(("status", "captured"), ("wanted__in", ["refund", "nothing"])),
                    models.Q(("status__in", ["declined", "voided", "refunded"]), ("wanted", "nothing")),
                    _connector="OR",
                ),
                name="payment_wants_what_can_be_done",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("captured_amount__lte", models.F("amount")), ("refunded_amount__lte", models.F("captured_amount"))
                ),
                name="payment_gives_back_what_it_took",
            ),
        ),
        migrations.AddField(
            model_name="refund",
            name="payment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="refunds", to="payments.payment"
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="refund",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="attempts",
                to="payments.refund",
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.UniqueConstraint(fields=("payment", "number"), name="refund_number"),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="refund_of_something"),
        ),
    ]
