"""Read-only admin pages of the analytics counters."""

from django.contrib import admin

from analytics.models import ActivityMinute, Sale, SalesMinute
from relay.admin import ReadOnly
from shop.catalogue.money import format_money


class CountAdmin(ReadOnly):
    """A read-only admin page for rows that only event handlers write."""

    date_hierarchy = "minute"


@admin.register(Sale)
class SaleAdmin(CountAdmin):
    list_display = ["minute", "kind", "order_id", "units", "amount"]
    list_filter = ["kind", "currency"]
    search_fields = ["=order_id", "=event_id"]

    @admin.display(ordering="revenue", description="revenue")
    def amount(self, sale: Sale) -> str:
        return format_money(sale.revenue, sale.currency)


@admin.register(SalesMinute)
class SalesMinuteAdmin(CountAdmin):
    list_display = ["minute", "kind", "orders", "units", "amount"]
    list_filter = ["kind", "currency"]

    @admin.display(ordering="revenue", description="revenue")
    def amount(self, counted: SalesMinute) -> str:
        return format_money(counted.revenue, counted.currency)


@admin.register(ActivityMinute)
class ActivityMinuteAdmin(CountAdmin):
    list_display = ["minute", "kind", "count"]
    list_filter = ["kind"]
