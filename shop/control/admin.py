"""Links from the relay's tables in the admin to the recorder. The relay's own admin does not know orders."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from relay.admin import InterventionAdmin, ParkedKeyAdmin, ReadOnly
from relay.models import Cursor, Intervention, ParkedKey
from shop.events import InventoryEvent, OrderEvent, PaymentEvent
from shop.web.order_access import VIEW_ORDER

#: Topics whose keys are ids of orders.
TOPICS = {OrderEvent.topic, InventoryEvent.topic, PaymentEvent.topic}


class LinksToOrders(ReadOnly):
    """A list with a link to the record of the order that a row's key names."""

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = [*super().get_list_display(request)]
        return [*columns, "record"] if request.user.has_perm(VIEW_ORDER) else columns

    @admin.display(description="order")
    def record(self, row: Cursor | Intervention) -> str:
        """Return a link to the recorder, or "" if the key is not an order."""
        if row.topic not in TOPICS or not row.key:
            return ""
        return format_html('<a href="{}">Way of the order</a>', reverse("control:order", args=[row.key]))


admin.site.unregister([ParkedKey, Intervention])


@admin.register(ParkedKey)
class ParkedKeyOfOrderAdmin(LinksToOrders, ParkedKeyAdmin):
    """Parked keys, with links to their orders."""


@admin.register(Intervention)
class InterventionOfOrderAdmin(LinksToOrders, InterventionAdmin):
    """Interventions, with links to the orders of their keys."""
