"""Admin pages for stock. Each change of a number is an entry in the ledger with a person and a reason."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from inventory.models import Movement, Reservation, Stock
from inventory.services import LARGEST_RECEIPT, UnableToAdjustStock, adjust_stock, receive_stock
from inventory.views import describe_availability
from relay.admin import ReadOnly, name_user
from shop.audit.form_numbers import NUMBER, FormSentTwice, NumberField, check_number
from shop.audit.record import audited
from shop.catalogue.models import Product

RECEIVED, CORRECTED = "received", "corrected"


class ChangeForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A receipt or a correction of stock, with its reason. Without a quantity the form changes only the threshold."""

    kind = forms.ChoiceField(
        choices=[(RECEIVED, "Received"), (CORRECTED, "Corrected: counted, broken, lost, found")],
        initial=RECEIVED,
        required=False,
        label="Kind of change",
        widget=UnfoldAdminSelectWidget,
    )
    quantity = forms.IntegerField(
        min_value=-LARGEST_RECEIPT,
        max_value=LARGEST_RECEIPT,
        required=False,
        label="Pieces",
        help_text="A correction may be negative.",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    reason = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget, help_text="For example: delivery 4711."
    )

    form_number = NumberField()
    low_at = forms.IntegerField(
        min_value=0,
        max_value=LARGEST_RECEIPT,
        required=False,
        help_text="The stock is low when this number of pieces or fewer are available.",
        widget=UnfoldAdminIntegerFieldWidget,
    )

    class Meta:
        model = Stock
        fields = ["sku", "low_at"]

    def clean_low_at(self) -> int:
        """Return the threshold; without a value in the form, the present one."""
        given: int | None = self.cleaned_data["low_at"]
        return self.instance.low_at if given is None else given

    def clean_sku(self) -> str:
        sku: str = self.cleaned_data["sku"]
        if not Product.objects.filter(sku=sku).exists():
            raise forms.ValidationError("The catalogue has no product with this SKU.")
        return sku

    def check_form_number(self, cleaned: dict[str, Any]) -> None:
        """Show an error at the top of the page if the form has no number or was booked before."""
        if NUMBER in self.errors:
            self.add_error(None, self.errors[NUMBER])
        try:
            check_number(cleaned.get(NUMBER), f"{Stock._meta.label_lower}:{self.instance.pk or cleaned.get('sku')}")
        except FormSentTwice as error:
            self.add_error(None, f"The stock is unchanged. {error}.")

    def clean(self) -> dict[str, Any]:
        """Check that the ledger can take the receipt or correction. save_model() books it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.check_form_number(cleaned)
        quantity, begins = cleaned.get("quantity"), self.instance._state.adding
        corrected = cleaned.get("kind") == CORRECTED and not begins
        if quantity is None and begins and "quantity" not in self.errors:
            self.add_error("quantity", "Enter the number of pieces.")
        if quantity is not None and (quantity == 0 or (quantity < 0 and not corrected)):
            self.add_error("quantity", "Enter a number other than 0. Only a correction can be negative.")
        elif quantity and corrected and self.instance.on_hand + quantity < self.instance.reserved:
            held = f"{self.instance.reserved} of {self.instance.on_hand} pieces are held for orders."
            self.add_error("quantity", f"{held} Enter a smaller correction.")
        if quantity and not cleaned.get("reason"):
            self.add_error("reason", "Enter a reason. The ledger shows it with your name.")
        return cleaned


class LevelFilter(admin.SimpleListFilter):
    """A filter by stock level: low, sold out or enough."""

    title = "level"
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("low", "Low or sold out"), ("out", "Sold out"), ("ok", "Enough")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Stock]) -> QuerySet[Stock]:
        rows = queryset.annotate(left=F("on_hand") - F("reserved"))
        match self.value():
            case "low":
                return rows.filter(left__lte=F("low_at"))
            case "out":
                return rows.filter(left__lte=0)
            case "ok":
                return rows.filter(left__gt=F("low_at"))
        return queryset


@admin.register(Stock)
class StockAdmin(ModelAdmin):
    """Stock by SKU. Staff change the numbers only by a receipt or a correction, which saving the form books."""

    form = ChangeForm
    list_display = ["sku", "on_hand", "reserved", "available", "waiting", "low_at", "level"]
    list_filter = [LevelFilter]
    search_fields = ["sku"]
    fields = ["sku", "on_hand", "reserved", "low_at", "kind", "quantity", "reason", NUMBER]

    @admin.display(description="level")
    def level(self, stock: Stock) -> str:
        """Return the text that customers see, for example "Only 3 left"."""
        return describe_availability(stock)[1]

    def get_readonly_fields(self, request: HttpRequest, obj: Stock | None = None) -> list[str]:
        return ["on_hand", "reserved"] if obj is None else ["sku", "on_hand", "reserved"]

    def save_model(self, request: HttpRequest, obj: Stock, form: Any, change: bool) -> None:
        """Book the receipt or correction.

        :raises UnableToAdjustStock: orders hold the pieces that the correction takes away.
        :raises FormSentTwice: the form was booked before.
        """
        quantity, reason, by = form.cleaned_data["quantity"], form.cleaned_data["reason"], name_user(request)
        with audited(by, "change" if change else "add", obj, reason, form.cleaned_data[NUMBER]):
            if quantity and change and form.cleaned_data["kind"] == CORRECTED:
                adjust_stock(obj.sku, quantity, reason, by)
            elif quantity:
                receive_stock(obj.sku, quantity, reason, by)
            Stock.objects.filter(sku=obj.sku).update(low_at=form.cleaned_data["low_at"])

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Show or save the form. Show the list with an error if the stock could not be changed."""
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **options)
        except (UnableToAdjustStock, FormSentTwice) as error:
            self.message_user(request, f"The stock is unchanged. {error}.", "ERROR")
            return redirect("admin:inventory_stock_changelist")
        return answer

    def has_delete_permission(self, request: HttpRequest, obj: Stock | None = None) -> bool:
        return False


@admin.register(Reservation)
class ReservationAdmin(ReadOnly):
    list_display = ["order_id", "sku", "quantity", "state", "created_at", "changed_at"]
    list_filter = ["state"]
    search_fields = ["=sku", "=order_id"]


@admin.register(Movement)
class MovementAdmin(ReadOnly):
    list_display = ["created_at", "sku", "kind", "on_hand_delta", "reserved_delta", "order_id", "by", "reason"]
    list_filter = ["kind"]
    search_fields = ["=sku", "=order_id", "=event_id"]
    date_hierarchy = "created_at"
