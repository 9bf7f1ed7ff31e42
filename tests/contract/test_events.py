"""The wire format of each event.

Consumers already read the format of the golden files. A change of a golden file means that an event has changed without
a new version.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from relay import Event, UnableToDecodeEvent
from relay.publisher.event import concrete_events
from relay.publisher.topics import decode_event, known_events
from shop import events
from shop.events import OrderedLine, Shortage

GOLDEN = Path(__file__).parent / "golden"
TYPES = {cls.type_name(): cls for cls in concrete_events() if cls.__module__ == "shop.events"}

STAMP: dict[str, Any] = {
    "event_id": UUID("01976f2e-6a00-7000-8000-00000000abcd"),
    "occurred_at": datetime(2026, 5, 4, 12, 34, 56, 789012, tzinfo=UTC),
}
ORDER_ID = UUID("01976f2e-0000-7000-8000-000000000001")
CONTACT_ID = UUID("9f2c1d3e-4b5a-4c6d-8e7f-000000000002")
VISITOR = UUID("5e1f0c2b-7d8e-4f90-a1b2-000000000003")
ORDER: dict[str, Any] = {"order_id": ORDER_ID, "number": "EVV9DXXJZG", "contact_id": CONTACT_ID}
PRICE: dict[str, Any] = {"currency": "EUR", "total": 7470}
AMOUNTS: dict[str, Any] = {"currency": "EUR", "discount": 3500, "shipping": 490, "tax": 712, "total": 4460}
MONEY: dict[str, Any] = {"order_id": ORDER_ID, "amount": 7470, "currency": "EUR"}
EXAMPLES: dict[str, Event] = {
    example.type_name(): example
    for example in (
        events.OrderPlaced(
            **STAMP,
            **ORDER,
            **AMOUNTS,
            lines=[
                OrderedLine(sku="MUG-BLUE", quantity=3, unit_price=1490),
                OrderedLine(sku="POT-1.5L", quantity=1, unit_price=3000),
            ],
            payment_reference="01976f2e-0000-7000-8000-000000000004",
            channel="web",
            nth_order=2,
            first_order_month="2026-03",
            first_this_month=True,
        ),
        events.OrderConfirmed(**STAMP, **ORDER, **PRICE, units=4),
        events.OrderCancelled(**STAMP, **ORDER, **PRICE, units=4, reason="payment_declined"),
        events.OrderShipped(**STAMP, **ORDER),
        events.OrderDelivered(**STAMP, **ORDER),
        events.StockReserved(**STAMP, order_id=ORDER_ID),
        events.StockRejected(
            **STAMP, order_id=ORDER_ID, shortages=[Shortage(sku="MUG-BLUE", requested=3, available=1)]
        ),
        events.StockLow(**STAMP, sku="MUG-BLUE", available=4, low_at=5),
        events.StockBack(**STAMP, sku="MUG-BLUE", available=40),
        events.PaymentAuthorized(**STAMP, **MONEY),
        events.PaymentDeclined(**STAMP, **MONEY, reason="insufficient_funds"),
        events.PaymentCaptured(**STAMP, **MONEY),
        events.PaymentFailed(**STAMP, **MONEY, reason="expired_card"),
        events.PaymentVoided(**STAMP, **MONEY),
        events.PaymentRefunded(**STAMP, **MONEY, left=530),
        events.ProductViewed(**STAMP, visitor=VISITOR, sku="MUG-BLUE"),
        events.CartChanged(**STAMP, visitor=VISITOR, sku="MUG-BLUE", quantity=0),
        events.CheckoutStarted(**STAMP, visitor=VISITOR, units=4, total=4460, currency="EUR"),
        events.CheckoutCompleted(**STAMP, visitor=VISITOR, order_id=ORDER_ID),
    )
}
ADDRESSES = {
    events.OrderEvent: ("shop.orders", str(ORDER_ID)),
    events.InventoryEvent: ("shop.inventory", str(ORDER_ID)),
    events.StockEvent: ("shop.stock", "MUG-BLUE"),
    events.PaymentEvent: ("shop.payments", str(ORDER_ID)),
    events.ActivityEvent: ("shop.activity", "3"),
}
#: Words in the name of a field that indicate personal data.
PERSONAL = {
    *("name", "firstname", "lastname", "surname", "username", "user", "person", "customer", "birth", "birthday"),
    *("email", "mail", "phone", "mobile", "tel", "ip", "password", "card", "iban"),
    *("address", "street", "line1", "line2", "city", "town", "zip", "postal", "postcode", "country"),
}


def read_golden(type_name: str) -> dict[str, Any]:
    golden: dict[str, Any] = json.loads((GOLDEN / f"{type_name}.json").read_text("utf-8"))
    return golden


def as_wire(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def find_fields(kind: msgspec.inspect.Type) -> set[str]:
    """Return the names of all fields of a struct and of its inner structs."""
    found: set[str] = set()
    if isinstance(kind, msgspec.inspect.StructType):
        for field in kind.fields:
            found |= {field.encode_name} | find_fields(field.type)
    elif isinstance(kind, msgspec.inspect.Metadata):
        found |= find_fields(kind.type)
    elif isinstance(kind, msgspec.inspect.CollectionType):
        found |= find_fields(kind.item_type)
    elif isinstance(kind, msgspec.inspect.DictType):
        found |= find_fields(kind.key_type) | find_fields(kind.value_type)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for choice in kind.types:
            found |= find_fields(choice)
    return found


def find_personal_fields(cls: type[msgspec.Struct]) -> set[str]:
    return {field for field in find_fields(msgspec.inspect.type_info(cls)) if PERSONAL & set(field.lower().split("_"))}


def test_every_event_has_an_example_and_every_version_of_it_a_golden() -> None:
    assert {path.name.removesuffix(".json") for path in GOLDEN.iterdir()} == set(known_events()) - {"CanarySent.v1"}
    assert set(EXAMPLES) == set(TYPES)


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: path.stem)
def test_each_published_version_stays_readable(path: Path) -> None:
    event_type = path.name.removesuffix(".json")
    event_class = known_events()[event_type]
    assert type(decode_event(event_type, event_class.topic, path.read_bytes())) is event_class


@pytest.mark.parametrize("type_name", TYPES)
def test_the_golden_is_read_as_the_event(type_name: str) -> None:
    assert TYPES[type_name].decode(as_wire(read_golden(type_name))) == EXAMPLES[type_name]


@pytest.mark.parametrize("type_name", TYPES)
def test_the_event_is_written_as_the_golden(type_name: str) -> None:
    assert EXAMPLES[type_name].encode() == as_wire(read_golden(type_name))


@pytest.mark.parametrize("type_name", TYPES)
def test_the_event_keeps_its_topic_and_its_key(type_name: str) -> None:
    event = EXAMPLES[type_name]
    (address,) = [address for family, address in ADDRESSES.items() if isinstance(event, family)]
    assert (event.topic, event.key) == address


@pytest.mark.parametrize("type_name", TYPES)
def test_fields_of_a_newer_producer_are_ignored(type_name: str) -> None:
    golden = read_golden(type_name) | {"gift_wrap": {"paper": "red"}}
    for inner in golden.get("lines", []) + golden.get("shortages", []):
        inner["warehouse"] = 7
    assert TYPES[type_name].decode(as_wire(golden)) == EXAMPLES[type_name]


@pytest.mark.parametrize(
    ("type_name", "field"),
    [
        (type_name, field.encode_name)
        for type_name, cls in TYPES.items()
        for field in msgspec.structs.fields(cls)
        if field.encode_name not in STAMP
    ],
)
def test_a_missing_field_is_named(type_name: str, field: str) -> None:
    golden = read_golden(type_name)
    del golden[field]
    with pytest.raises(UnableToDecodeEvent, match=f"not a {type_name}: .*`{field}`"):
        TYPES[type_name].decode(as_wire(golden))


@pytest.mark.parametrize("field", STAMP)
def test_a_missing_id_or_time_is_named(field: str) -> None:
    golden = read_golden("OrderPlaced.v4")
    del golden[field]
    with pytest.raises(UnableToDecodeEvent, match=f"`{field}`"):
        events.OrderPlaced.decode(as_wire(golden))


def test_a_time_without_a_zone_is_refused() -> None:
    golden = read_golden("OrderPlaced.v4") | {"occurred_at": "2026-05-04T12:34:56"}
    with pytest.raises(UnableToDecodeEvent, match=r"\$\.occurred_at"):
        events.OrderPlaced.decode(as_wire(golden))


@pytest.mark.parametrize(("type_name", "inner"), [("OrderPlaced.v4", "lines"), ("StockRejected.v1", "shortages")])
def test_a_missing_field_inside_a_list_is_named(type_name: str, inner: str) -> None:
    golden = read_golden(type_name)
    del golden[inner][0]["sku"]
    with pytest.raises(UnableToDecodeEvent, match=rf"`sku`.*\$\.{inner}\[0\]"):
        TYPES[type_name].decode(as_wire(golden))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"total": "4460"}, "total"),
        ({"total": 74.5}, "total"),
        ({"order_id": "42"}, "order_id"),
        ({"lines": {}}, "lines"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"currency": None}, "currency"),
    ],
)
def test_a_field_of_another_type_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(UnableToDecodeEvent, match=rf"\$\.{field}"):
        events.OrderPlaced.decode(as_wire(read_golden("OrderPlaced.v4") | change))


@pytest.mark.parametrize("value", [b"", b"not json", b"[]", b"null", b"\xff\xfe", b'{"order_id": '])
def test_values_that_are_no_events_are_refused(value: bytes) -> None:
    with pytest.raises(UnableToDecodeEvent, match=r"not a OrderPlaced\.v4"):
        events.OrderPlaced.decode(value)


@pytest.mark.parametrize("type_name", TYPES)
def test_no_field_is_named_like_personal_data(type_name: str) -> None:
    assert find_personal_fields(TYPES[type_name]) == set()


def test_personal_data_is_recognised_wherever_it_hides() -> None:
    class Parcel(msgspec.Struct):
        street: str

    class Shipment(msgspec.Struct):
        customer_email: str
        parcels: Annotated[list[Parcel], msgspec.Meta(description="What was sent.")]
        by_number: dict[str, Parcel | None]
        contact_id: UUID

    assert find_personal_fields(Shipment) == {"customer_email", "street"}
