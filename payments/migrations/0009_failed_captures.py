"""Failed captures, attempts with numbers and lookups with cursors, adopted refunds, and disputes at the sandbox."""

from django.db import migrations, models

DISPUTES = """
alter table sandbox_gateway.ledger drop constraint ledger_operation_check;
alter table sandbox_gateway.ledger add constraint ledger_operation_check
    check (operation in ('authorize', 'capture', 'void', 'refund', 'dispute'));
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0008_reconciling_turn"),
    ]

    operations = [
        migrations.RunSQL(DISPUTES, migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_wants_what_can_be_done",
        ),
        migrations.AddField(
            model_name="attempt",
            name="cursor",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="Where an unfinished lookup continues.", max_length=100
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="equal_errors",
            field=models.PositiveIntegerField(
                db_default=0, default=0, help_text="Number of equal errors of the gateway in a row."
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="is_absent",
            field=models.BooleanField(db_default=False, default=False, help_text="The last lookup found no result."),
        ),
        migrations.AddField(
            model_name="attempt",
            name="is_closed",
            field=models.BooleanField(db_default=False, default=False, help_text="The next call needs a new key."),
        ),
        migrations.AddField(
            model_name="attempt",
            name="sent_at",
            field=models.DateTimeField(blank=True, help_text="When the last request was sent.", null=True),
        ),
        migrations.AddField(
            model_name="refund",
            name="gateway_reference",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Its id, if it was created at the gateway.",
                max_length=100,
            ),
        ),
        migrations.AlterField(
            model_name="case",
            name="kind",
            field=models.CharField(
                choices=[
                    ("differs", "Differs"),
                    ("unknown_entry", "Unknown Entry"),
                    ("stuck", "Stuck"),
                    ("refund_declined", "Refund Declined"),
                    ("capture_failed", "Capture Failed"),
                    ("expiring", "Expiring"),
                    ("external_refund", "External Refund"),
                    ("disputed", "Disputed"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="reason",
            field=models.CharField(
                blank=True, help_text="Why the gateway declined or did not capture.", max_length=200
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
                    ("failed", "Failed"),
                    ("voided", "Voided"),
                    ("refunded", "Refunded"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "pending"), ("wanted__in", ["authorize", "void"])),
                    models.Q(
                        ("status__in", ["authorized", "failed"]),
                        ("wanted__in", ["capture", "void", "refund", "nothing"]),
                    ),
                    models.Q(("status", "captured"), ("wanted__in", ["refund", "nothing"])),
                    models.Q(("status__in", ["declined", "voided", "refunded"]), ("wanted", "nothing")),
                    _connector="OR",
                ),
                name="payment_wants_what_can_be_done",
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.UniqueConstraint(
                condition=models.Q(("gateway_reference", ""), _negated=True),
                fields=("gateway_reference",),
                name="refund_at_gateway_once",
            ),
        ),
    ]
