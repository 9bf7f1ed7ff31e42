"""The checkout's form. What is right and wrong is decided by the API's own serializer, so that both take the same."""

from typing import Any
from uuid import UUID, uuid4

from django import forms

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
    """A new idempotency key, made when a form is first shown."""
    return str(uuid4())


def attributes(autocomplete: str, **others: str) -> dict[str, str]:
    """What helps the browser to fill a field."""
    return {"autocomplete": autocomplete, **others}


class CheckoutForm(forms.Form):
    """Whom to reach, where to send it and how to pay, all on one page."""

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
        help_text="If you would like text messages too.",
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
    # What the page showed: the order is placed at this total or not at all.
    expected_total = forms.IntegerField(required=False, widget=forms.HiddenInput)
    idempotency_key = forms.CharField(required=False, initial=make_key, widget=forms.HiddenInput)

    #: What place_order takes, once the form is valid.
    request: dict[str, Any]

    def __init__(self, *args: Any, cart: Cart, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cart = cart
        for name in self.fields.keys() & self.errors.keys():
            self.fields[name].widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"error-{name}"}

    def clean(self) -> dict[str, Any]:
        """Ask the API's serializer, and put its complaints beside the fields they are about."""
        values = {name: self.cleaned_data.get(name, "") for name in self.fields}
        try:
            UUID(values["idempotency_key"])
        except ValueError:
            raise forms.ValidationError("This form was damaged on its way. Please open the checkout again.") from None
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
                continue  # what a form's own field refuses, such as a NUL character, is told already
            if name in self.fields:
                self.add_error(name, [self.describe(name, message) for message in messages])
            elif name != "shipping_address":
                self.add_error(None, f"{name}: {messages}")
        return values

    def describe(self, name: str, message: Any) -> str:
        """Say an error as a shop would."""
        if message.code == "blank":
            return f"{self.fields[name].label} is missing."
        return str(message)
