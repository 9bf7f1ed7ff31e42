"""Payments for staff: what was asked of the gateway and what it said. Nothing of it is edited by hand."""

from django.contrib import admin
from unfold.admin import TabularInline

from payments.models import Attempt, Payment
from relay.admin import ReadOnly
from shop.catalogue.money import format_money


class AttemptInline(TabularInline):
    model = Attempt
    fields = readonly_fields = ["operation", "calls", "outcome", "started_at", "finished_at", "idempotency_key"]
    extra = max_num = 0
    can_delete = False


@admin.register(Payment)
class PaymentAdmin(ReadOnly):
    list_display = ["order_id", "status", "wanted", "shown_amount", "reason", "created_at"]
    list_filter = ["status", "wanted", "currency"]
    search_fields = ["=id", "=order_id", "gateway_reference"]
    date_hierarchy = "created_at"
    exclude = ["payment_token"]
    inlines = [AttemptInline]

    @admin.display(description="amount", ordering="amount")
    def shown_amount(self, payment: Payment) -> str:
        """The amount as people write it."""
        return format_money(payment.amount, payment.currency)
