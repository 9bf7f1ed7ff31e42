"""The kinds of events."""

from django.db import models


class Kind(models.TextChoices):
    """The kind of an event. `Minute` counts each kind; `OrderFact` has a column for each of MILESTONES."""

    PLACED = "placed"
    RESERVED = "reserved"
    REJECTED = "rejected"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CONFIRMED = "confirmed"
    CAPTURED = "captured"
    FAILED = "failed"
    VOIDED = "voided"
    REFUNDED = "refunded"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    LOW = "low"
    BACK = "back"
    VIEWED = "viewed"
    CART_CHANGED = "cart_changed"
    CHECKOUT_STARTED = "checkout_started"
    CHECKOUT_COMPLETED = "checkout_completed"


#: Kinds that are steps of an order, each with its time in the column `<kind>_at` of OrderFact.
MILESTONES = (
    *(Kind.PLACED, Kind.RESERVED, Kind.REJECTED, Kind.AUTHORIZED, Kind.DECLINED, Kind.CONFIRMED, Kind.CAPTURED),
    *(Kind.SHIPPED, Kind.DELIVERED, Kind.CANCELLED),
)
#: Kinds of ActivityEvent: what a visitor does in the shop.
ACTIVITIES = (Kind.VIEWED, Kind.CART_CHANGED, Kind.CHECKOUT_STARTED, Kind.CHECKOUT_COMPLETED)
