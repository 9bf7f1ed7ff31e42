"""Payloads for pages: values are masked, except for people who may change the events."""

from typing import Any

import msgspec

#: Fields whose values are shown to everyone who may look: ids and times without a meaning outside the shop.
SHOWN = {"event_id", "occurred_at", "order_id", "sku", "quantity", "reason"}
MASK = "•••"


def format_payload(body: str, *, masked: bool) -> str:
    """Return the JSON `body`, indented. With `masked`, each value outside SHOWN is replaced by MASK."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return MASK if masked else body
    return msgspec.json.format(msgspec.json.encode(_mask(value) if masked else value), indent=2).decode()


def _mask(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {field: _mask(part, field) for field, part in value.items()}
    if isinstance(value, list):
        return [_mask(part, name) for part in value]
    return value if name in SHOWN else MASK
