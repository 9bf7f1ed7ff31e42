"""Orders for staff: read-only, with actions that go through the saga and publish its events."""

from collections.abc import Callable
from typing import Any

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
    """What was ordered."""

    model = OrderLine
    fields = ["sku", "name", "quantity", "unit_price", "line_total"]


class HistoryInline(_ReadOnlyInline):
    """What happened, and who did it and why when a person did."""

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

    @admin.display(description="total", ordering="total")
    def shown_total(self, order: Order) -> str:
        """The total as people write it."""
        return format_money(order.total, order.currency)

    @admin.action(description="Mark as shipped", permissions=["act"])
    def mark_shipped(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """The parcels have left the house."""
        self._advance(request, orders, "ship", Happening.MARKED_SHIPPED)

    @admin.action(description="Mark as delivered", permissions=["act"])
    def mark_delivered(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """The parcels have arrived."""
        self._advance(request, orders, "deliver", Happening.MARKED_DELIVERED)

    @admin.action(description="Cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, orders: QuerySet[Order]) -> TemplateResponse | None:
        """Ask for the reason, then cancel; stock and money go back by themselves."""
        reason = request.POST.get("reason", "").strip()
        if not reason:
            return ask_reason(self, request, orders, "Cancel these orders")
        by = name_user(request)
        self._do(request, orders, "cancel", lambda order: cancel_order(order.pk, reason[:200], by), reason)
        return None

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
    ) -> None:
        """Act on each order in its own transaction, so that one that can't holds up no other."""
        done = []
        for order in orders:
            try:
                with audited(name_user(request), action, order, reason):
                    act(order)
                done.append(order.number)
            except (ImpossibleTransition, TooLateToCancel) as error:
                self.message_user(request, f"{order.number}: {error}.", messages.ERROR)
        if done:
            self.message_user(request, f"Done: {', '.join(done)}.", messages.SUCCESS)


@admin.register(Promotion)
class PromotionAdmin(Audited):
    """Promotion codes. One that orders have used can be ended, not deleted."""

    list_display = ["code", "kind", "value", "begins_at", "ends_at", "used", "uses"]
    list_filter = ["kind", "ends_at"]
    search_fields = ["code"]
    fields = ["code", "kind", "value", "begins_at", "ends_at", "uses", "used"]

    def get_readonly_fields(self, request: HttpRequest, obj: Promotion | None = None) -> list[str]:
        """What a code is worth is not changed under those who have it."""
        return ["used", *(["code", "kind", "value"] if obj else [])]
