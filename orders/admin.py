"""Admin pages for orders and promotions. Orders are read-only; their actions run the saga, which publishes events."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from unfold.admin import TabularInline

from orders.lifecycle.cancellation import TooLateToCancel, cancel_order
from orders.lifecycle.saga import Happening, ImpossibleTransition
from orders.lifecycle.transitions import advance_order
from orders.models import Order, OrderLine, Promotion, Transition
from relay.admin import ReadOnly, ask_reason, name_user
from shop.audit.admin import Audited
from shop.audit.form_numbers import NUMBER, FormSentTwice, make_number, read_number
from shop.audit.record import audited
from shop.catalogue.money import format_money


class _ReadOnlyInline(TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LineInline(_ReadOnlyInline):
    """The order's lines."""

    model = OrderLine
    fields = ["sku", "name", "quantity", "unit_price", "line_total"]


class HistoryInline(_ReadOnlyInline):
    """The order's history, with the person and the reason if a person caused the step."""

    model = Transition
    fields = ["at", "event", "before", "after", "by", "note", "event_id"]
    verbose_name_plural = "history"


@admin.register(Order)
class OrderAdmin(ReadOnly):
    """Orders, newest first."""

    list_display = ["number", "status", "reason", "shown_total", "placed_at", "stock", "payment"]
    list_filter = ["status", "reason", "stock", "payment", "placed_at"]
    search_fields = ["number", "id"]
    date_hierarchy = "placed_at"
    inlines = [LineInline, HistoryInline]
    actions = ["mark_shipped", "mark_delivered", "cancel"]
    list_per_page = 50
    change_form_before_template = "orders/record_link.html"

    @admin.display(description="total", ordering="total")
    def shown_total(self, order: Order) -> str:
        """Return the order's total as text, with its currency."""
        return format_money(order.total, order.currency)

    @admin.action(description="Mark as shipped", permissions=["act"])
    def mark_shipped(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """Apply MARKED_SHIPPED to each of `orders`."""
        self._advance(request, orders, "ship", Happening.MARKED_SHIPPED)

    @admin.action(description="Mark as delivered", permissions=["act"])
    def mark_delivered(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """Apply MARKED_DELIVERED to each of `orders`."""
        self._advance(request, orders, "deliver", Happening.MARKED_DELIVERED)

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, orders: QuerySet[Order]) -> TemplateResponse | None:
        """Show a form for the reason, then cancel `orders`. Inventory and payments react to the published event."""
        reason, form = request.POST.get("reason", "").strip(), read_number(request)
        if not (reason and form):
            return ask_reason(self, request, orders, "Cancel these orders", {NUMBER: make_number()})
        by = name_user(request)
        self._do(request, orders, "cancel", lambda order: cancel_order(order.pk, reason[:200], by), reason, form)
        return None

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel orders, which refunds their payments."""
        return bool(request.user.has_perm("orders.cancel_order"))

    def _advance(self, request: HttpRequest, orders: QuerySet[Order], action: str, happening: Happening) -> None:
        by = name_user(request)
        self._do(request, orders, action, lambda order: advance_order(order.pk, happening, by=by))

    def _do(
        self,
        request: HttpRequest,
        orders: QuerySet[Order],
        action: str,
        act: Callable[[Order], object],
        reason: str = "",
        form: UUID | None = None,
    ) -> None:
        """Call `act` for each order in its own transaction, so that an order that fails does not stop the others."""
        done = []
        for order in orders:
            try:
                with audited(name_user(request), action, order, reason, form):
                    act(order)
                done.append(order.number)
            except (ImpossibleTransition, TooLateToCancel, FormSentTwice) as error:
                self.message_user(request, f"{order.number}: {error}.", messages.ERROR)
        if done:
            self.message_user(request, f"Done: {', '.join(done)}.", messages.SUCCESS)


@admin.register(Promotion)
class PromotionAdmin(Audited):
    """Promotion codes. Staff can end a code that orders have used, but not delete it."""

    list_display = ["code", "kind", "value", "begins_at", "ends_at", "used", "uses"]
    list_filter = ["kind", "ends_at"]
    search_fields = ["code"]
    fields = ["code", "kind", "value", "begins_at", "ends_at", "uses", "used"]

    def get_readonly_fields(self, request: HttpRequest, obj: Promotion | None = None) -> list[str]:
        """Make the code's value read-only once it exists: customers may already have the code."""
        return ["used", *(["code", "kind", "value"] if obj else [])]
