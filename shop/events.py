"""The contract: every event that crosses an app boundary, and nothing else. No personal data in any of them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from msgspec import Meta

from relay import Event, Upcaster

OrderId = Annotated[UUID, Meta(description="The order.")]
OrderNumber = Annotated[str, Meta(description="The order's number as people read it, for example FP-2026-000042.")]
ContactId = Annotated[UUID, Meta(description="Leads to name and address, for those who may read them.")]
Currency = Annotated[str, Meta(description="ISO 4217, for example EUR.")]
Total = Annotated[int, Meta(description="What the order costs, in minor units of `currency`.")]
Amount = Annotated[int, Meta(description="In minor units of `currency`.")]
Units = Annotated[int, Meta(description="Pieces in all lines together.")]
Sku = Annotated[str, Meta(description="The product's stock keeping unit.")]
Reason = Annotated[str, Meta(description="A word for programs, for example payment_declined.")]


class OrderEvent(Event, frozen=True, kw_only=True):
    """Said by orders about an order. Amounts are integers in minor units of `currency` (ISO 4217)."""

    topic: ClassVar[str] = "shop.orders"
    order_id: OrderId

    @property
    def key(self) -> str:
        return str(self.order_id)


class InventoryEvent(Event, frozen=True, kw_only=True):
    """Said by inventory about the stock of an order."""

    topic: ClassVar[str] = "shop.inventory"
    order_id: OrderId

    @property
    def key(self) -> str:
        return str(self.order_id)


class StockEvent(Event, frozen=True, kw_only=True):
    """Said by inventory about a product's stock, whichever order or person moved it."""

    topic: ClassVar[str] = "shop.stock"
    sku: Sku

    @property
    def key(self) -> str:
        return self.sku


class PaymentEvent(Event, frozen=True, kw_only=True):
    """Said by payments about the money of an order."""

    topic: ClassVar[str] = "shop.payments"
    order_id: OrderId
    amount: Amount
    currency: Currency

    @property
    def key(self) -> str:
        return str(self.order_id)


class ActivityEvent(Event, frozen=True, kw_only=True):
    """What a visitor does. `visitor` is a random id that leads to no person."""

    topic: ClassVar[str] = "shop.activity"
    visitor: Annotated[UUID, Meta(description="A random id of the browser's session.")]

    @property
    def key(self) -> str:
        """The visitor and the day (UTC), so that a key's events end one day and can be pruned."""
        return f"{self.visitor}:{self.occurred_at:%Y-%m-%d}"


class OrderedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order as it was priced."""

    sku: Sku
    quantity: Annotated[int, Meta(description="Pieces ordered.")]
    unit_price: Annotated[int, Meta(description="In minor units of the order's currency.")]


def without_amounts(value: dict[str, Any]) -> dict[str, Any]:
    """Read OrderPlaced.v1: nothing was taken off or added, and the tax was not told."""
    return {**value, "discount": 0, "shipping": 0, "tax": 0}


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """A customer ordered. `total` is the lines, less `discount`, and `shipping`; `tax` is contained in it."""

    version: ClassVar[int] = 2
    upcasters: ClassVar[Mapping[int, Upcaster]] = {1: without_amounts}

    number: OrderNumber
    contact_id: ContactId
    currency: Currency
    discount: Annotated[int, Meta(description="Taken off by a promotion, in minor units of `currency`.")]
    shipping: Annotated[int, Meta(description="For the parcel, in minor units of `currency`.")]
    tax: Annotated[int, Meta(description="Contained in `total`, in minor units of `currency`.")]
    total: Total
    lines: Annotated[list[OrderedLine], Meta(description="At least one.")]
    payment_token: Annotated[str, Meta(description="For a single use; it belongs to the gateway.")]


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """The stock is reserved and the payment authorized: the order will be shipped."""

    number: OrderNumber
    contact_id: ContactId
    currency: Currency
    total: Total
    units: Units


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    """The order has ended without a sale. Whoever holds something for it gives it back."""

    number: OrderNumber
    contact_id: ContactId
    currency: Currency
    total: Total
    units: Units
    reason: Reason


class OrderShipped(OrderEvent, frozen=True, kw_only=True):
    """The parcel has left the house."""

    number: OrderNumber
    contact_id: ContactId


class OrderDelivered(OrderEvent, frozen=True, kw_only=True):
    """The parcel has reached the customer."""

    number: OrderNumber
    contact_id: ContactId


class StockReserved(InventoryEvent, frozen=True, kw_only=True):
    """Every line of the order is held."""


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """One line that could not be held."""

    sku: Sku
    requested: Annotated[int, Meta(description="Pieces ordered.")]
    available: Annotated[int, Meta(description="Pieces that could be had.")]


class StockRejected(InventoryEvent, frozen=True, kw_only=True):
    """At least one line is not to be had, so nothing is held."""

    shortages: Annotated[list[Shortage], Meta(description="The lines that were at fault.")]


class StockLow(StockEvent, frozen=True, kw_only=True):
    """So few pieces can be had now that somebody should order more."""

    available: Annotated[int, Meta(description="Pieces that can be had now.")]
    low_at: Annotated[int, Meta(description="So many, or fewer, are too few of this product.")]


class StockBack(StockEvent, frozen=True, kw_only=True):
    """It was sold out, and can be had again."""

    available: Annotated[int, Meta(description="Pieces that can be had now.")]


class PaymentAuthorized(PaymentEvent, frozen=True, kw_only=True):
    """The gateway holds the amount for us."""


class PaymentDeclined(PaymentEvent, frozen=True, kw_only=True):
    """The gateway refused. Nothing is held."""

    reason: Reason


class PaymentCaptured(PaymentEvent, frozen=True, kw_only=True):
    """The held amount is ours."""


class PaymentVoided(PaymentEvent, frozen=True, kw_only=True):
    """The held amount was given back before it was captured."""


def without_rest(value: dict[str, Any]) -> dict[str, Any]:
    """Read PaymentRefunded.v1, which did not tell what was left."""
    return {**value, "left": None}


class PaymentRefunded(PaymentEvent, frozen=True, kw_only=True):
    """So much of the captured amount was given back. More may follow until nothing is `left`."""

    version: ClassVar[int] = 2
    upcasters: ClassVar[Mapping[int, Upcaster]] = {1: without_rest}

    left: Annotated[
        int | None,
        Meta(description="Captured and not given back, in minor units of `currency`; null in what version 1 told."),
    ]


class ProductViewed(ActivityEvent, frozen=True, kw_only=True):
    """A product's page was shown."""

    sku: Sku


class CartChanged(ActivityEvent, frozen=True, kw_only=True):
    """A line of the cart now has this quantity; 0 means removed."""

    sku: Sku
    quantity: Annotated[int, Meta(description="Pieces that are in the cart now.")]
