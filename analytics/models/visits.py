"""Activity of visitors, and the visits that are computed from it."""

from django.db import models

from analytics.models.kinds import Kind


class Activity(models.Model):
    """One row per activity event of a visitor. A partition per day (UTC); indexes: BRIN on `at`, (visitor, at).

    - `kind`: one of ACTIVITIES.
    - `sku`: of viewed and cart_changed, else empty text.
    - `quantity`: of cart_changed the new number of pieces (0: removed); of checkout_started the pieces in the cart.
    - `amount`, `currency`: of checkout_started the total of the cart that the visitor saw.
    - `order_id`: of checkout_completed. It links a visit with an order, therefore a day is dropped as a whole after
      the retention, and no other table than `Session` repeats the link.

    Always filter by `at`, so that PostgreSQL reads the partitions of these days only.
    """

    event_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()
    visitor = models.UUIDField()
    kind = models.TextField(choices=Kind)
    sku = models.TextField()
    quantity = models.IntegerField(null=True)
    amount = models.BigIntegerField(null=True)
    currency = models.TextField()
    order_id = models.UUIDField(null=True)


class Session(models.Model):
    """One row per visitor session: activities of one visitor and day (UTC) with gaps of at most 30 minutes.

    Computed from `Activity` for touched visitors every five seconds, never merged. Midnight UTC ends a session. A
    partition per day; dropped with the day.

    - `events`: all activities. With one event nobody knows whether the cookie came back: bots and prefetch. Rates use
      sessions with `events >= 2`.
    - `views`, `carts` (cart changes with at least one piece), `checkouts` (checkout_started), `orders`: counts.
      A closed funnel: views, then also carts, then also checkouts, then also orders.
    - `cart_units`: pieces in the cart at the end of the session, as far as the session changed it. An abandoned cart
      has cart_units > 0 and orders = 0.
    - `cart_amount`, `currency`: the total of the last checkout_started; empty without one.
    - `order_id`: of the last order; empty without one.
    """

    pk = models.CompositePrimaryKey("day", "visitor", "began_at")
    day = models.DateField()
    visitor = models.UUIDField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    events = models.IntegerField()
    views = models.IntegerField()
    carts = models.IntegerField()
    checkouts = models.IntegerField()
    orders = models.IntegerField()
    cart_units = models.IntegerField()
    cart_amount = models.BigIntegerField(null=True)
    currency = models.TextField()
    order_id = models.UUIDField(null=True)


class SessionDay(models.Model):
    """One row per finished day (UTC) and currency: the sums of its sessions, which panels read instead of the rows.

    An hourly task stores them. A late activity deletes the rows of its day, and the task stores them again; meanwhile
    panels read the sessions. `currency` is the one of the session's checkout, or empty. The counts from `visited` to
    `ordered` are of sessions with at least two activities; `viewed` to `ordered` are the closed funnel.
    """

    pk = models.CompositePrimaryKey("day", "currency")
    day = models.DateField()
    currency = models.TextField()
    sessions = models.BigIntegerField()
    visited = models.BigIntegerField()
    with_order = models.BigIntegerField()
    viewed = models.BigIntegerField()
    cart = models.BigIntegerField()
    checkout = models.BigIntegerField()
    ordered = models.BigIntegerField()
    abandoned = models.BigIntegerField()
    amount = models.BigIntegerField(null=True, help_text="The total of the abandoned carts, as far as it is known.")


class Touched(models.Model):
    """A queue: visitors and days whose sessions must be computed again. Rows of one pair may repeat."""

    id = models.BigAutoField(primary_key=True)
    visitor = models.UUIDField()
    day = models.DateField()
