"""Payloads of events for reading. Fields that lead to a person, a card or a secret are hidden by default."""

import json
from typing import Any

#: The permission to read all fields.
SEE_PAYLOADS = "relay.view_payload"
#: Fields that staff may read who may see orders or parked keys. Others are hidden: new ones may be personal.
SHOWN = {
    *("event_id", "occurred_at", "order_id", "number", "currency", "discount", "shipping", "tax", "total", "units"),
    *("lines", "sku", "quantity", "unit_price", "shortages", "requested", "available", "amount", "left", "low_at"),
}
HIDDEN = "hidden"


def list_fields(body: str, *, whole: bool) -> list[tuple[str, str]]:
    """Return the names and the values of a payload. Without `whole`, values outside SHOWN are hidden.

    A payload that is not a JSON object, for example one that a person has edited wrongly, has one field.
    """
    value = read_object(body)
    if value is None:
        return [("unreadable payload", body if whole else HIDDEN)]
    shown = value if whole else {name: mask(name, entry) for name, entry in value.items()}
    return [(name, format_value(entry)) for name, entry in shown.items()]


def format_payload(body: str, *, whole: bool) -> str:
    """Return a payload as indented JSON. Without `whole`, values outside SHOWN are hidden."""
    value = read_object(body)
    if value is None:
        return body if whole else HIDDEN
    shown = value if whole else {name: mask(name, entry) for name, entry in value.items()}
    return json.dumps(shown, ensure_ascii=False, indent=2)


def read_object(body: str) -> dict[str, Any] | None:
    """Return the JSON object in `body`, or None if it contains something else."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def mask(name: str, value: Any) -> Any:
    """Return `value` with everything hidden that is not in a field of SHOWN."""
    if name not in SHOWN:
        return HIDDEN
    if isinstance(value, dict):
        return {inner: mask(inner, entry) for inner, entry in value.items()}
    if isinstance(value, list):
        return [mask(name, entry) for entry in value]
    return value


def format_value(value: Any) -> str:
    """Return a value of a payload as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
