"""The checkout form. The API's serializer validates its values, so that page and API accept the same orders."""

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings

from orders.api.serializers import OrderRequest
from orders.cart.session import Cart

COUNTRIES = {
    "AT": "Austria",
    "BE": "Belgium",
    "CH": "Switzerland",
    "CZ": "Czechia",
    "DE": "Germany",
    "DK": "Denmark",
    "EE": "Estonia",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "IE": "Ireland",
    "IS": "Iceland",
    "IT": "Italy",
    "LT": "Lithuania",
    "LU": "Luxembourg",
    "LV": "Latvia",
    "NL": "Netherlands",
    "NO": "Norway",
    "PL": "Poland",
    "PT": "Portugal",
    "SE": "Sweden",
}
TEST_CARDS = [
    ("tok_ok", "Test card that works"),
    ("tok_declined", "Test card that is declined"),
    ("tok_insufficient_funds", "Test card without money"),
    ("tok_slow", "Test card that is slow"),
]
ADDRESS = ["name", "line1", "line2", "postal_code", "city", "country"]


def make_key() -> str:
    """Return a new idempotency key for a form."""
    return str(uuid4())


def attributes(autocomplete: str, **others: str) -> dict[str, str]:
    """Return the HTML attributes of a field. `autocomplete` lets the browser fill the field."""
    return {"autocomplete": autocomplete, **others}


class CheckoutForm(forms.Form):
    """The contact, the address and the payment of an order, on one page."""

    email = forms.CharField(
        label="E-mail",
        required=False,
        widget=forms.EmailInput(attributes("email", inputmode="email")),
        help_text="For the confirmation.",
    )
    phone = forms.CharField(
        label="Phone",
        required=False,
        widget=forms.TextInput(attributes("tel", inputmode="tel")),
        help_text="For text messages about your order.",
    )
    name = forms.CharField(label="Full name", required=False, widget=forms.TextInput(attributes("name")))
    line1 = forms.CharField(
        label="Street and number", required=False, widget=forms.TextInput(attributes("address-line1"))
    )
    line2 = forms.CharField(
        label="Flat, floor, c/o", required=False, widget=forms.TextInput(attributes("address-line2"))
    )
    postal_code = forms.CharField(
        label="Postal code", required=False, widget=forms.TextInput(attributes("postal-code"))
    )
    city = forms.CharField(label="City", required=False, widget=forms.TextInput(attributes("address-level2")))
    country = forms.CharField(
        label="Country",
        required=False,
        initial="NO",
        widget=forms.Select(
            attributes("country"),
            choices=[(code, name) for name, code in sorted((name, code) for code, name in COUNTRIES.items())],
        ),
    )
    payment_token = forms.CharField(
        label="Payment", required=False, initial="tok_ok", widget=forms.RadioSelect(choices=TEST_CARDS)
    )
    promotion_code = forms.CharField(label="Promotion code", required=False)
    # The total that the page showed. If the total is different when the form arrives, no order is placed.
    expected_total = forms.IntegerField(required=False, widget=forms.HiddenInput)
    idempotency_key = forms.CharField(required=False, initial=make_key, widget=forms.HiddenInput)

    #: The validated request for place_order(). Only a valid form has it.
    request: dict[str, Any]

    def __init__(self, *args: Any, cart: Cart, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cart = cart
        if not settings.SMS_PROVIDER:
            self.fields["phone"].help_text = "For questions about the delivery."
        for name in self.fields.keys() & self.errors.keys():
            self.fields[name].widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"error-{name}"}

    def clean(self) -> dict[str, Any]:
        """Validate the values by the API's serializer, and add its errors to the fields of the form."""
        values = {name: self.cleaned_data.get(name, "") for name in self.fields}
        try:
            UUID(values["idempotency_key"])
        except ValueError:
            raise forms.ValidationError("The form arrived incomplete. Please open the checkout again.") from None
        data = {
            "email": values["email"],
            "phone": values["phone"],
            "shipping_address": {name: values[name] for name in ADDRESS},
            "cart": str(self.cart.id),
            "payment_token": values["payment_token"],
        }
        data |= {name: values[name] for name in ("promotion_code", "expected_total") if values[name] not in ("", None)}
        body = OrderRequest(data=data)
        if body.is_valid():
            self.request = body.validated_data
        errors = {**body.errors, **body.errors.get("shipping_address", {})}
        for name, messages in errors.items():
            if self.has_error(name):
                continue  # the form's own field has reported an error, for example a NUL character
            if name in self.fields:
                self.add_error(name, [self.describe(name, message) for message in messages])
            elif name != "shipping_address":
                self.add_error(None, f"{name}: {messages}")
        return values

    def describe(self, name: str, message: Any) -> str:
        """Return the text of an error for customers."""
        if message.code == "blank":
            return f"{self.fields[name].label} is missing."
        return str(message)
