"""What the API takes and gives."""

from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from orders.api import examples
from orders.prices.amounts import AMOUNT_FIELDS, LINE_FIELDS
from shop.web.strict import StrictSerializer

ONE_LINE = RegexValidator(r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z", "Give it in one line.")


class OneLine(serializers.CharField):
    """Text without line breaks and other control characters: it may end up in a letter's head or on a parcel's label.

    White space is taken off its ends, after pattern and length are checked as the schema says them: some control
    characters count as white space. The pattern is about all of the text, as drf-spectacular ignores `inverse_match`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(validators=[ONE_LINE], **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Return the text.

        :raises ValidationError: it has a control character, is too long or is wrong otherwise.
        """
        if isinstance(data, str) and data:
            self.run_validators(data)
        return super().run_validation(data)


class ShippingAddress(StrictSerializer):
    """Where the parcel goes."""

    name = OneLine(max_length=120)
    line1 = OneLine(max_length=120)
    line2 = OneLine(max_length=120, required=False, allow_blank=True, default="")
    postal_code = OneLine(max_length=16)
    city = OneLine(max_length=80)
    country = serializers.RegexField(
        r"^[A-Z]{2}\Z",
        help_text="ISO 3166-1 alpha-2, for example DE.",
        error_messages={"invalid": "Give two capital letters, for example DE."},
    )


@extend_schema_serializer(examples=examples.REQUESTED_LINE)
class RequestedLine(StrictSerializer):
    """How many of what."""

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
        error_messages={"invalid": "Give 5 to 20 digits, for example +49 30 1234567."},
    )
    shipping_address = ShippingAddress()
    lines = serializers.ListField(
        child=RequestedLine(), min_length=1, max_length=50, required=False, help_text="Either these or `cart`."
    )
    cart = serializers.UUIDField(required=False, help_text="Order what is in this cart, which ends with it.")
    promotion_code = OneLine(required=False, allow_blank=True, max_length=32)
    expected_total = serializers.IntegerField(
        required=False, min_value=0, help_text="What the customer was shown. If it is another now, nothing is ordered."
    )
    payment_token = serializers.RegexField(
        r"^[A-Za-z0-9_-]{3,128}\Z",
        error_messages={"invalid": "Give the gateway's token: 3 to 128 letters, digits, _ or -."},
    )

    def find_faults(self, data: dict[str, Any]) -> dict[str, list[str]]:
        """Want lines or a cart, and not both."""
        faults = super().find_faults(data)
        if "lines" in data and "cart" in data:
            faults["cart"] = ["Give lines or a cart, not both."]
        elif "lines" not in data and "cart" not in data:
            faults["lines"] = ["This field is required, unless you give a cart."]
        return faults

    def validate_lines(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Refuse a SKU that stands in two lines."""
        seen: set[str] = set()
        errors: dict[Any, Any] = {}
        for index, line in enumerate(lines):
            if line["sku"] in seen:
                errors[index] = {"sku": [f"{line['sku']} stands in another line already: add the quantities up."]}
            seen.add(line["sku"])
        if errors:
            raise serializers.ValidationError(errors)
        return lines


_TEXTS = {
    "subtotal": "What the lines add up to.",
    "discount": "What the promotion code takes off.",
    "tax": "Contained in the total.",
    "total": "subtotal - discount + shipping",
}


def make_fields(types: dict[str, Any], **special: dict[str, Any]) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    """Return a field for each of `types`. `special` maps a name to options that differ from the usual ones."""
    kinds: dict[Any, Any] = {str: serializers.CharField, int: serializers.IntegerField}
    return {
        name: kinds[kind](**{**({"help_text": _TEXTS[name]} if name in _TEXTS else {}), **special.get(name, {})})
        for name, kind in types.items()
    }


class AnsweredLine(serializers.Serializer[Any]):
    """A line with name and price as they were when the order was placed. Amounts in minor units."""

    vars().update(make_fields(LINE_FIELDS))


@extend_schema_serializer(examples=examples.ORDER_DETAIL)
class OrderDetail(serializers.Serializer[Any]):
    """An order as it is now."""

    id = serializers.UUIDField()
    number = serializers.CharField()
    status = serializers.ChoiceField(["placed", "confirmed", "shipped", "delivered", "cancelled"])
    reason = serializers.CharField(help_text="Why it was cancelled, else empty.")
    vars().update(make_fields(AMOUNT_FIELDS))
    lines = AnsweredLine(many=True)
    placed_at = serializers.DateTimeField()
    confirmed_at = serializers.DateTimeField(allow_null=True)
    shipped_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)


@extend_schema_serializer(examples=examples.PLACED_ORDER)
class PlacedOrder(serializers.Serializer[Any]):
    """The answer to POST /api/v1/orders/: the same again whenever the same key comes with the same body."""

    id = serializers.UUIDField()
    number = serializers.CharField()
    status = serializers.ChoiceField(["placed"])
    vars().update(make_fields(AMOUNT_FIELDS))
    lines = AnsweredLine(many=True)
    placed_at = serializers.DateTimeField()
    access_token = serializers.CharField(help_text="Send it as X-Order-Token to read the order.")


class CartLineAnswer(AnsweredLine):
    """A line of a cart at today's price."""

    previous_unit_price = serializers.IntegerField(
        allow_null=True, help_text="The price when it was put in the cart, if it is another today; else null."
    )


@extend_schema_serializer(examples=examples.CART_ANSWER)
class CartAnswer(serializers.Serializer[Any]):
    """A cart, and what an order of it would cost now. Amounts in minor units of the currency."""

    id = serializers.UUIDField(help_text="Opens a guest's cart: keep it to yourself.")
    vars().update(
        make_fields(
            AMOUNT_FIELDS,
            tax={"allow_null": True, "help_text": "Contained in the total; null without `country`."},
            total={"help_text": "subtotal - discount + shipping; send it as `expected_total`."},
        )
    )
    lines = CartLineAnswer(many=True)
    no_longer_sold = serializers.ListField(
        child=serializers.CharField(), help_text="SKUs in the cart that are not sold any more: remove them."
    )


class CartQuery(StrictSerializer):
    """What a cart is priced for."""

    country = serializers.RegexField(
        r"^[A-Z]{2}\Z",
        required=False,
        help_text="Where the parcel would go, ISO 3166-1 alpha-2, for example DE.",
        error_messages={"invalid": "Give two capital letters, for example DE."},
    )
    promotion_code = OneLine(required=False, allow_blank=True, max_length=32)


@extend_schema_serializer(examples=examples.CHANGED_QUANTITY)
class ChangedQuantity(StrictSerializer):
    """How many there shall be."""

    quantity = serializers.IntegerField(min_value=0, max_value=999, help_text="0 removes the line.")
