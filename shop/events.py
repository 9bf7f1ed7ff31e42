"""The contract: every event that crosses an app boundary, and nothing else. No personal data in any of them."""

from typing import ClassVar
from uuid import UUID

import msgspec

from relay.event import Event


class OrderEvent(Event, frozen=True, kw_only=True):
    """Said by orders about an order. Amounts are integers in minor units of `currency` (ISO 4217)."""

    topic: ClassVar[str] = "shop.orders"
    order_id: UUID

    @property
    def key(self) -> str:
        return str(self.order_id)


class InventoryEvent(Event, frozen=True, kw_only=True):
    """Said by inventory about the stock of an order."""

    topic: ClassVar[str] = "shop.inventory"
    order_id: UUID

    @property
    def key(self) -> str:
        return str(self.order_id)


class PaymentEvent(Event, frozen=True, kw_only=True):
    """Said by payments about the money of an order."""

    topic: ClassVar[str] = "shop.payments"
    order_id: UUID
    amount: int
    currency: str

    @property
    def key(self) -> str:
        return str(self.order_id)


class ActivityEvent(Event, frozen=True, kw_only=True):
    """What a visitor does. `visitor` is a random id that leads to no person."""

    topic: ClassVar[str] = "shop.activity"
    visitor: UUID

    @property
    def key(self) -> str:
        return f"{self.visitor}:{self.occurred_at:%Y-%m-%d}"


class OrderedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order as it was priced: `unit_price` in minor units."""

    sku: str
    quantity: int
    unit_price: int


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """A customer ordered. `payment_token` is single-use and belongs to the gateway."""

    number: str
    contact_id: UUID
    currency: str
    total: int
    lines: list[OrderedLine]
    payment_token: str


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """The stock is reserved and the payment authorized: the order will be shipped."""

    number: str
    contact_id: UUID
    currency: str
    total: int
    units: int


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    """The order has ended without a sale. Whoever holds something for it gives it back."""

    number: str
    contact_id: UUID
    currency: str
    total: int
    units: int
    reason: str


class OrderShipped(OrderEvent, frozen=True, kw_only=True):
    """The parcel has left the house."""

    number: str
    contact_id: UUID


class OrderDelivered(OrderEvent, frozen=True, kw_only=True):
    """The parcel has reached the customer."""

    number: str
    contact_id: UUID


class StockReserved(InventoryEvent, frozen=True, kw_only=True):
    """Every line of the order is held."""


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """One line that could not be held."""

    sku: str
    requested: int
    available: int


class StockRejected(InventoryEvent, frozen=True, kw_only=True):
    """At least one line is not to be had, so nothing is held."""

    shortages: list[Shortage]


class PaymentAuthorized(PaymentEvent, frozen=True, kw_only=True):
    """The gateway holds the amount for us."""


class PaymentDeclined(PaymentEvent, frozen=True, kw_only=True):
    """The gateway refused. Nothing is held."""

    reason: str


class PaymentCaptured(PaymentEvent, frozen=True, kw_only=True):
    """The held amount is ours."""


class PaymentVoided(PaymentEvent, frozen=True, kw_only=True):
    """The held amount was given back before it was captured."""


class ProductViewed(ActivityEvent, frozen=True, kw_only=True):
    """A product's page was shown."""

    sku: str


class CartChanged(ActivityEvent, frozen=True, kw_only=True):
    """A line of the cart now has this quantity; 0 means removed."""

    sku: str
    quantity: int
