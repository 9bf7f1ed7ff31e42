"""Stock in the admin: the numbers change by a receipt alone, the ledger never."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from inventory.models import Movement, Reservation, Stock
from inventory.services import LARGEST_RECEIPT, receive_stock
from relay.admin import ReadOnly
from shop.catalogue.models import Product


class ReceiptForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Pieces that have come into the house, and why."""

    quantity = forms.IntegerField(
        min_value=1,
        max_value=LARGEST_RECEIPT,
        label="Pieces received",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, help_text="For example: delivery 4711.")

    class Meta:
        model = Stock
        fields = ["sku"]

    def clean_sku(self) -> str:
        sku: str = self.cleaned_data["sku"]
        if not Product.objects.filter(sku=sku).exists():
            raise forms.ValidationError("The catalogue has no product with this SKU.")
        return sku


@admin.register(Stock)
class StockAdmin(ModelAdmin):
    """Saving receives pieces: there is no other way to touch the numbers by hand."""

    form = ReceiptForm
    list_display = ["sku", "on_hand", "reserved", "available"]
    search_fields = ["sku"]
    fields = ["sku", "on_hand", "reserved", "quantity", "reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: Stock | None = None) -> list[str]:
        return ["on_hand", "reserved"] if obj is None else ["sku", "on_hand", "reserved"]

    def save_model(self, request: HttpRequest, obj: Stock, form: Any, change: bool) -> None:
        receive_stock(obj.sku, form.cleaned_data["quantity"], form.cleaned_data["reason"])

    def has_delete_permission(self, request: HttpRequest, obj: Stock | None = None) -> bool:
        return False


@admin.register(Reservation)
class ReservationAdmin(ReadOnly):
    list_display = ["order_id", "sku", "quantity", "state", "created_at", "changed_at"]
    list_filter = ["state"]
    search_fields = ["=sku", "=order_id"]


@admin.register(Movement)
class MovementAdmin(ReadOnly):
    list_display = ["created_at", "sku", "kind", "on_hand_delta", "reserved_delta", "order_id", "reason"]
    list_filter = ["kind"]
    search_fields = ["=sku", "=order_id", "=event_id"]
    date_hierarchy = "created_at"
