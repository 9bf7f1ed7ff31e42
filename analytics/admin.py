"""Read-only admin page of the facts about orders."""

from django.contrib import admin

from analytics.models import OrderFact
from relay.admin import ReadOnly
from shop.catalogue.money import format_money


@admin.register(OrderFact)
class OrderFactAdmin(ReadOnly):
    """The steps of each order as analytics knows them."""

    list_display = ["order_id", "placed_at", "confirmed_at", "captured_at", "shipped_at", "cancelled_at", "amount"]
    list_filter = ["channel", "currency", "reason", "decline_reason"]
    search_fields = ["=order_id"]
    date_hierarchy = "placed_at"

    @admin.display(ordering="total", description="total")
    def amount(self, fact: OrderFact) -> str:
        """Return the total as text, or an empty text if OrderPlaced has not arrived."""
        return "" if fact.total is None or fact.currency is None else format_money(fact.total, fact.currency)
