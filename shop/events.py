"""The contract: all events that one app publishes and another reads. They contain no personal data."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from msgspec import Meta

from relay import Event, Upcaster

OrderId = Annotated[UUID, Meta(description="Id of the order.")]
OrderNumber = Annotated[str, Meta(description="The order number that customers see, for example EVV9DXXJZG.")]
ContactId = Annotated[UUID, Meta(description="Id of the name and address, which the event does not contain.")]
Currency = Annotated[str, Meta(description="Currency code of ISO 4217, for example EUR.")]
Total = Annotated[int, Meta(description="Price of the whole order, in minor units of `currency`.")]
Amount = Annotated[int, Meta(description="Amount in minor units of `currency`.")]
Units = Annotated[int, Meta(description="Number of pieces in all lines.")]
Sku = Annotated[str, Meta(description="Stock keeping unit of the product.")]
Reason = Annotated[str, Meta(description="Reason as a code for programs, for example payment_declined.")]


class OrderEvent(Event, frozen=True, kw_only=True):
    """Published by orders about one order. Amounts are integers in minor units of `currency` (ISO 4217)."""

    topic: ClassVar[str] = "shop.orders"
    order_id: OrderId

    @property
    def key(self) -> str:
        return str(self.order_id)


class InventoryEvent(Event, frozen=True, kw_only=True):
    """Published by inventory about the stock of one order."""

    topic: ClassVar[str] = "shop.inventory"
    order_id: OrderId

    @property
    def key(self) -> str:
        return str(self.order_id)


class StockEvent(Event, frozen=True, kw_only=True):
    """Published by inventory about the stock of one product."""

    topic: ClassVar[str] = "shop.stock"
    sku: Sku

    @property
    def key(self) -> str:
        return self.sku


class PaymentEvent(Event, frozen=True, kw_only=True):
    """Published by payments about the payment of one order."""

    topic: ClassVar[str] = "shop.payments"
    order_id: OrderId
    amount: Amount
    currency: Currency

    @property
    def key(self) -> str:
        return str(self.order_id)


class ActivityEvent(Event, frozen=True, kw_only=True):
    """Published when a visitor uses the shop. `visitor` is a random id without a link to a person."""

    topic: ClassVar[str] = "shop.activity"
    BUCKETS: ClassVar[int] = 1024
    visitor: Annotated[UUID, Meta(description="Random id of the browser session.")]

    @property
    def key(self) -> str:
        """The bucket of the visitor, 0 to 1023: the random id modulo 1024. Visitors without cookies add no streams."""
        return str(self.visitor.int % self.BUCKETS)


class OrderedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order, with the price at the time of the order."""

    sku: Sku
    quantity: Annotated[int, Meta(description="Number of pieces ordered.")]
    unit_price: Annotated[int, Meta(description="Price of one piece, in minor units of the order's currency.")]


def without_amounts(value: dict[str, Any]) -> dict[str, Any]:
    """Read OrderPlaced.v1, which has no discount, no shipping and no tax."""
    return {**value, "discount": 0, "shipping": 0, "tax": 0}


#: The beginning of `payment_reference` in an event of version 1 or 2. The event's own token follows.
OLD_TOKEN = "token:"


def with_own_token(value: dict[str, Any]) -> dict[str, Any]:
    """Read OrderPlaced.v2, which contains the payment token."""
    known = dict(value)
    return {**known, "payment_reference": f"{OLD_TOKEN}{known.pop('payment_token')}"}


def without_buyer(value: dict[str, Any]) -> dict[str, Any]:
    """Read OrderPlaced.v3, which does not contain the channel and the buyer's earlier orders."""
    return {**value, "channel": None, "nth_order": None, "first_order_month": None, "first_this_month": None}


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """A customer placed an order. `total` is the lines minus `discount` plus `shipping`; it includes `tax`.

    `channel` and the fields after it are null in events of version 1 to 3. They contain no id of the buyer.
    """

    version: ClassVar[int] = 4
    upcasters: ClassVar[Mapping[int, Upcaster]] = {1: without_amounts, 2: with_own_token, 3: without_buyer}

    number: OrderNumber
    contact_id: ContactId
    currency: Currency
    discount: Annotated[int, Meta(description="Discount of a promotion, in minor units of `currency`.")]
    shipping: Annotated[int, Meta(description="Shipping costs, in minor units of `currency`.")]
    tax: Annotated[int, Meta(description="Tax that `total` includes, in minor units of `currency`.")]
    total: Total
    lines: Annotated[list[OrderedLine], Meta(description="Lines of the order, at least one.")]
    payment_reference: Annotated[
        str, Meta(description="Reference of the payment token. Only the shop can read the token, and only once.")
    ]
    channel: Annotated[str | None, Meta(description="Way of the order into the shop: web or api.")]
    nth_order: Annotated[
        int | None, Meta(description="1 for the buyer's first order, 2 for the second; cancelled orders count, too.")
    ]
    first_order_month: Annotated[
        str | None, Meta(description="Month (UTC) of the buyer's first order, for example 2026-05.")
    ]
    first_this_month: Annotated[
        bool | None, Meta(description="Whether this is the buyer's first order of its month (UTC).")
    ]


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """The stock is reserved and the payment is authorized: the order will be shipped."""

    number: OrderNumber
    contact_id: ContactId
    currency: Currency
    total: Total
    units: Units


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    """The order was cancelled. Inventory releases its stock; payments voids or refunds its payment."""

    number: OrderNumber
    contact_id: ContactId
    currency: Currency
    total: Total
    units: Units
    reason: Reason


class OrderShipped(OrderEvent, frozen=True, kw_only=True):
    """The parcel was handed to the carrier."""

    number: OrderNumber
    contact_id: ContactId


class OrderDelivered(OrderEvent, frozen=True, kw_only=True):
    """The customer received the parcel."""

    number: OrderNumber
    contact_id: ContactId


class StockReserved(InventoryEvent, frozen=True, kw_only=True):
    """Inventory reserved the stock for all lines of the order."""


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """One line for which the stock was too low."""

    sku: Sku
    requested: Annotated[int, Meta(description="Number of pieces ordered.")]
    available: Annotated[int, Meta(description="Number of pieces that were available.")]


class StockRejected(InventoryEvent, frozen=True, kw_only=True):
    """The stock was too low for at least one line, therefore inventory reserved nothing."""

    shortages: Annotated[list[Shortage], Meta(description="The lines for which the stock was too low.")]


class StockLow(StockEvent, frozen=True, kw_only=True):
    """The available stock fell to `low_at` or below: the product should be ordered from the supplier."""

    available: Annotated[int, Meta(description="Number of pieces that are available now.")]
    low_at: Annotated[int, Meta(description="Low-stock threshold of the product, in pieces.")]


class StockBack(StockEvent, frozen=True, kw_only=True):
    """A product that was sold out is available again."""

    available: Annotated[int, Meta(description="Number of pieces that are available now.")]


class PaymentAuthorized(PaymentEvent, frozen=True, kw_only=True):
    """The gateway authorized the amount: it is blocked on the customer's account and not yet captured."""


class PaymentDeclined(PaymentEvent, frozen=True, kw_only=True):
    """The gateway declined the payment. No amount is authorized."""

    reason: Reason


class PaymentCaptured(PaymentEvent, frozen=True, kw_only=True):
    """The gateway captured the authorized amount: the shop has received it."""


class PaymentFailed(PaymentEvent, frozen=True, kw_only=True):
    """The gateway did not capture the authorized amount. Staff capture it again or cancel the order."""

    reason: Annotated[str, Meta(description="The gateway's reason, for staff.")]


class PaymentVoided(PaymentEvent, frozen=True, kw_only=True):
    """The authorization was cancelled before the amount was captured."""


def without_rest(value: dict[str, Any]) -> dict[str, Any]:
    """Read PaymentRefunded.v1, which does not contain `left`."""
    return {**value, "left": None}


class PaymentRefunded(PaymentEvent, frozen=True, kw_only=True):
    """The gateway refunded `amount` of the captured amount. More refunds may follow until `left` is 0."""

    version: ClassVar[int] = 2
    upcasters: ClassVar[Mapping[int, Upcaster]] = {1: without_rest}

    left: Annotated[
        int | None,
        Meta(description="Captured and not refunded, in minor units of `currency`; null if the event was version 1."),
    ]


class ProductViewed(ActivityEvent, frozen=True, kw_only=True):
    """A visitor opened the page of a product."""

    sku: Sku


class CartChanged(ActivityEvent, frozen=True, kw_only=True):
    """A visitor changed a line of the cart. `quantity` is the new number of pieces; 0 means removed."""

    sku: Sku
    quantity: Annotated[int, Meta(description="Number of pieces in the cart after the change.")]


class CheckoutStarted(ActivityEvent, frozen=True, kw_only=True):
    """A visitor with a cart opened the checkout page. `total` is the price that the page showed."""

    units: Annotated[int, Meta(description="Number of pieces in the cart.")]
    total: Annotated[int, Meta(description="Price of the cart with shipping, in minor units of `currency`.")]
    currency: Currency


class CheckoutCompleted(ActivityEvent, frozen=True, kw_only=True):
    """A visitor placed an order on the checkout page. An order through the API has no visitor."""

    order_id: OrderId
