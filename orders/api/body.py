"""A fast reader for the body of a common order. It takes a tenth of the serializer's time.

`OrderRequest` accepts every body that this reader accepts, with the same result. The reader reports no errors: the
serializer checks all other bodies, so that rules and messages are in one place.
"""

import json
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shop.web.parsers import refuse_repeated_names

# Not empty, no control characters, and no white space at the ends, which the serializer would remove.
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_WORDS = rf"\A[^\s{_CONTROL}]([^{_CONTROL}]*[^\s{_CONTROL}])?\Z"
_NONE_OR_WORDS = rf"{_WORDS}|\A\Z"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = rf"\A[A-Za-z0-9_+-]{{1,64}}(\.[A-Za-z0-9_+-]{{1,64}})*@({_LABEL}\.)+[A-Za-z]{{2,63}}\Z"

Words = Annotated[str, Meta(max_length=120, pattern=_WORDS)]


class _Address(msgspec.Struct, forbid_unknown_fields=True):
    name: Words
    line1: Words
    postal_code: Annotated[str, Meta(max_length=16, pattern=_WORDS)]
    city: Annotated[str, Meta(max_length=80, pattern=_WORDS)]
    country: Annotated[str, Meta(pattern=r"\A[A-Z]{2}\Z")]
    line2: Annotated[str, Meta(max_length=120, pattern=_NONE_OR_WORDS)] | UnsetType = UNSET


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    sku: Annotated[str, Meta(max_length=32, pattern=r"\A[A-Z0-9-]+\Z")]
    quantity: Annotated[int, Meta(ge=1, le=999)]


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254, pattern=_EMAIL)]
    shipping_address: _Address
    lines: Annotated[list[_Line], Meta(min_length=1, max_length=50)]
    payment_token: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{3,128}\Z")]
    phone: Annotated[str, Meta(pattern=r"\A(\+?[0-9][0-9 ()/-]{3,17}[0-9])?\Z")] | UnsetType = UNSET
    expected_total: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


# This call makes msgspec build its type information once, at import: concurrent first uses crash the process.
msgspec.json.Decoder(_Order)


def read_order(body: bytes) -> dict[str, Any] | None:
    """Return the same as ``OrderRequest(data=...).validated_data``, or None if the serializer must check the body."""
    try:
        data = json.loads(body.decode(), object_pairs_hook=refuse_repeated_names)
        order = msgspec.convert(data, _Order)
    except (ValueError, RecursionError):
        return None
    skus = {line.sku for line in order.lines}
    address = order.shipping_address
    if len(skus) < len(order.lines):
        return None
    return {
        "email": order.email,
        "phone": order.phone or "",
        "shipping_address": {
            "name": address.name,
            "line1": address.line1,
            "line2": address.line2 or "",
            "postal_code": address.postal_code,
            "city": address.city,
            "country": address.country,
        },
        "lines": [{"sku": line.sku, "quantity": line.quantity} for line in order.lines],
        **({} if order.expected_total is UNSET else {"expected_total": order.expected_total}),
        "payment_token": order.payment_token,
    }
