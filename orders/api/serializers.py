"""Request and response bodies of the API for orders and carts."""

from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from orders.api import examples
from orders.lifecycle.waiting import explain_waiting
from orders.models import Order
from orders.prices.amounts import AMOUNT_FIELDS, LINE_FIELDS
from shop.web.strict import StrictSerializer

ONE_LINE = RegexValidator(
    r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z", "Enter text without line breaks and control characters."
)


class OneLine(serializers.CharField):
    """Text without line breaks and other control characters. E-mail headers and parcel labels may contain it.

    Pattern and length are checked before white space is removed from the ends, because some control characters count as
    white space. The pattern matches the whole text, because drf-spectacular ignores `inverse_match`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(validators=[ONE_LINE], **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Return the validated text.

        :raises ValidationError: `data` has a control character, is too long or is not a string.
        """
        if isinstance(data, str) and data:
            self.run_validators(data)
        return super().run_validation(data)


class ShippingAddress(StrictSerializer):
    """The address for the parcel."""

    name = OneLine(max_length=120)
    line1 = OneLine(max_length=120)
    line2 = OneLine(max_length=120, required=False, allow_blank=True, default="")
    postal_code = OneLine(max_length=16)
    city = OneLine(max_length=80)
    country = serializers.RegexField(
        r"^[A-Z]{2}\Z",
        help_text="ISO 3166-1 alpha-2 code, for example DE.",
        error_messages={"invalid": "Enter two capital letters, for example DE."},
    )


@extend_schema_serializer(examples=examples.REQUESTED_LINE)
class RequestedLine(StrictSerializer):
    """A product and its quantity."""

    sku = serializers.CharField(max_length=32)
    quantity = serializers.IntegerField(min_value=1, max_value=999)


@extend_schema_serializer(examples=examples.ORDER_REQUEST)
class OrderRequest(StrictSerializer):
    """The body of POST /api/v1/orders/."""

    email = serializers.EmailField(max_length=254)
    phone = serializers.RegexField(
        r"^\+?[0-9][0-9 ()/-]{4,18}\Z",
        required=False,
        allow_blank=True,
        default="",
        error_messages={"invalid": "Enter a phone number with at least 5 digits, for example +49 30 1234567."},
    )
    shipping_address = ShippingAddress()
    lines = serializers.ListField(
        child=RequestedLine(),
        min_length=1,
        max_length=50,
        required=False,
        help_text="Products to order. Send either `lines` or `cart`.",
    )
    cart = serializers.UUIDField(required=False, help_text="Cart to order. The order deletes the cart.")
    promotion_code = OneLine(required=False, allow_blank=True, max_length=32)
    expected_total = serializers.IntegerField(
        required=False,
        min_value=0,
        help_text="Total that the customer saw. If the total is different now, no order is placed.",
    )
    payment_token = serializers.RegexField(
        r"^[A-Za-z0-9_-]{3,128}\Z",
        error_messages={"invalid": "Send the gateway's token: 3 to 128 letters, digits, _ or -."},
    )

    def find_faults(self, data: dict[str, Any]) -> dict[str, list[str]]:
        """Return the errors by field. A request has either lines or a cart."""
        faults = super().find_faults(data)
        if "lines" in data and "cart" in data:
            faults["cart"] = ["Send either lines or a cart, not both."]
        elif "lines" not in data and "cart" not in data:
            faults["lines"] = ["This field is required, unless you send a cart."]
        return faults

    def validate_lines(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return `lines`.

        :raises ValidationError: two lines have the same SKU.
        """
        seen: set[str] = set()
        errors: dict[Any, Any] = {}
        for index, line in enumerate(lines):
            if line["sku"] in seen:
                errors[index] = {"sku": [f"Another line has the SKU {line['sku']}. Send one line for each SKU."]}
            seen.add(line["sku"])
        if errors:
            raise serializers.ValidationError(errors)
        return lines


_TEXTS = {
    "subtotal": "Sum of the lines.",
    "discount": "Discount of the promotion code.",
    "tax": "Tax that is included in the total.",
    "total": "subtotal - discount + shipping",
}


def make_fields(types: dict[str, Any], **special: dict[str, Any]) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    """Return a serializer field for each name and type of `types`. `special` maps a name to options for its field."""
    kinds: dict[Any, Any] = {str: serializers.CharField, int: serializers.IntegerField}
    return {
        name: kinds[kind](**{**({"help_text": _TEXTS[name]} if name in _TEXTS else {}), **special.get(name, {})})
        for name, kind in types.items()
    }


class AnsweredLine(serializers.Serializer[Any]):
    """A line with the name and the price at the time of the order. Amounts are in minor units."""

    vars().update(make_fields(LINE_FIELDS))


class OrderWaiting(serializers.Serializer[Any]):
    """Why an order waits longer than usual. The order is stored, and nothing needs to be done."""

    part = serializers.CharField(help_text="The part that is late, for example inventory.")
    behind_seconds = serializers.IntegerField(allow_null=True, help_text="How late the part is; null if unknown.")
    expected_seconds = serializers.IntegerField(
        allow_null=True,
        help_text="Predicted time until the part reaches the order; null if unknown, for example during an outage.",
    )
    text = serializers.CharField(help_text="A sentence for the customer.")


@extend_schema_serializer(examples=examples.ORDER_DETAIL)
class OrderDetail(serializers.Serializer[Any]):
    """The current state of an order. Amounts are in minor units of `currency`."""

    id = serializers.UUIDField()
    number = serializers.CharField()
    status = serializers.ChoiceField(["placed", "confirmed", "shipped", "delivered", "cancelled"])
    reason = serializers.CharField(help_text="Reason for the cancellation; empty if the order is not cancelled.")
    vars().update(make_fields(AMOUNT_FIELDS))
    lines = AnsweredLine(many=True)
    placed_at = serializers.DateTimeField()
    confirmed_at = serializers.DateTimeField(allow_null=True)
    shipped_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)
    waiting = serializers.SerializerMethodField(help_text="Why the order waits longer than usual; null if it does not.")

    @extend_schema_field(OrderWaiting(allow_null=True))
    def get_waiting(self, order: Order) -> dict[str, Any] | None:
        """Return why the order waits, from the newest sample of the shop."""
        waiting = explain_waiting(order)
        return None if waiting is None else waiting._asdict()


@extend_schema_serializer(examples=examples.PLACED_ORDER)
class PlacedOrder(serializers.Serializer[Any]):
    """The response to POST /api/v1/orders/. A repeated request with the same key gets the same response."""

    id = serializers.UUIDField()
    number = serializers.CharField()
    status = serializers.ChoiceField(["placed"])
    vars().update(make_fields(AMOUNT_FIELDS))
    lines = AnsweredLine(many=True)
    placed_at = serializers.DateTimeField()
    access_token = serializers.CharField(help_text="Send it as X-Order-Token to read the order.")


class CartLineAnswer(AnsweredLine):
    """A line of a cart at the current price."""

    previous_unit_price = serializers.IntegerField(
        allow_null=True,
        help_text="Price when the product was added to the cart; null if the price has not changed.",
    )


@extend_schema_serializer(examples=examples.CART_ANSWER)
class CartAnswer(serializers.Serializer[Any]):
    """A cart, and the amounts of an order of it. Amounts are in minor units of `currency`."""

    id = serializers.UUIDField(help_text="The id gives access to a guest's cart: keep it secret.")
    vars().update(
        make_fields(
            AMOUNT_FIELDS,
            tax={"allow_null": True, "help_text": "Tax that is included in the total; null without `country`."},
            total={"help_text": "subtotal - discount + shipping; send it as `expected_total`."},
        )
    )
    lines = CartLineAnswer(many=True)
    no_longer_sold = serializers.ListField(
        child=serializers.CharField(),
        help_text="SKUs in the cart that are no longer sold. Remove them before you order.",
    )


class CartQuery(StrictSerializer):
    """The query parameters that decide the price of a cart."""

    country = serializers.RegexField(
        r"^[A-Z]{2}\Z",
        required=False,
        help_text="Country of the parcel's address, ISO 3166-1 alpha-2 code, for example DE.",
        error_messages={"invalid": "Enter two capital letters, for example DE."},
    )
    promotion_code = OneLine(required=False, allow_blank=True, max_length=32)


@extend_schema_serializer(examples=examples.CHANGED_QUANTITY)
class ChangedQuantity(StrictSerializer):
    """The new quantity of a line."""

    quantity = serializers.IntegerField(min_value=0, max_value=999, help_text="0 removes the line.")
