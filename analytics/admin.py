"""Read-only admin page of the facts about orders."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from analytics.generation import reading
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

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        """Show the orders of the current generation."""
        with reading():
            return _render(super().changelist_view(request, extra_context))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponseBase:
        """Show an order of the current generation."""
        with reading():
            return _render(super().change_view(request, object_id, form_url, extra_context))

    @admin.display(ordering="total", description="total")
    def amount(self, fact: OrderFact) -> str:
        """Return the total as text, or an empty text if OrderPlaced has not arrived."""
        return "" if fact.total is None or fact.currency is None else format_money(fact.total, fact.currency)


def _render(response: HttpResponseBase) -> HttpResponseBase:
    """Render `response` now: a template that is rendered later would read the tables of the first generation."""
    return response.render() if isinstance(response, TemplateResponse) else response
