"""The facts and rollups of analytics: what happened to each order, product and visit, by event time in UTC.

Rules of all tables:

- Times are the times of events, in UTC, never the times of arrival. Only `Arrival`, `DaySeal` and `Touched` know the
  time of processing.
- Every write commutes: it takes the least or greatest value, fills an empty column, or adds under the guard of the
  consumer's cursor. Topics overtake one another, therefore every column of a fact may be empty for a while.
- Amounts are integers in minor units of `currency`. Never add amounts of different currencies.
- Only the consumer and `analytics/sessions` write. Read with `analytics.generation.reading()`, because another
  generation has the same tables in another schema of PostgreSQL.

An empty column means "not known" or "did not happen (yet)", never zero.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


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


class OrderFact(models.Model):
    """One row per order. Every column but the id may be empty, because topics overtake one another.

    - `<milestone>_at`: time of the first event of that kind. Order funnel and durations: a cohort by `placed_at`.
      Payment: `authorized_at` or `declined_at`; stock: `reserved_at` or `rejected_at`.
    - `reason`: code of OrderCancelled, for example payment_declined. `decline_reason`: code of PaymentDeclined.
    - `currency`, `discount`, `shipping`, `tax`, `total`, `units`: from OrderPlaced. `total` includes `tax` and
      `shipping`; `units` is the number of pieces.
    - `refunded`: sum of all refunds, 0 without one. Net amount of an order: captured (`captured_at` is set) ?
      `total - refunded` : 0.
    - `nth_order`: 1 for the buyer's first order. `first_order_month`: "2026-05", the buyer's cohort.
      `first_this_month`: whether it is the buyer's first order of its month (UTC), to count buyers of a cohort once per
      month. Empty for events before OrderPlaced.v4. The row has no link to the buyer, the visitor or the contact.
    - `channel`: "web" or "api"; empty before v4.
    """

    order_id = models.UUIDField(primary_key=True)
    placed_at = models.DateTimeField(null=True)
    reserved_at = models.DateTimeField(null=True)
    rejected_at = models.DateTimeField(null=True)
    authorized_at = models.DateTimeField(null=True)
    declined_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    captured_at = models.DateTimeField(null=True)
    shipped_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    reason = models.TextField(null=True)
    decline_reason = models.TextField(null=True)
    currency = models.TextField(null=True)
    discount = models.BigIntegerField(null=True)
    shipping = models.BigIntegerField(null=True)
    tax = models.BigIntegerField(null=True)
    total = models.BigIntegerField(null=True)
    units = models.IntegerField(null=True)
    refunded = models.BigIntegerField(db_default=0)
    nth_order = models.IntegerField(null=True)
    first_order_month = models.TextField(null=True)
    first_this_month = models.BooleanField(null=True)
    channel = models.TextField(null=True)

    class Meta:
        ordering = ["-placed_at", "order_id"]
        indexes = [
            models.Index(fields=["placed_at"], name="orderfact_placed"),
            # Cohorts count these orders by month.
            models.Index(
                fields=["placed_at", "first_order_month"], name="orderfact_cohort", condition=Q(first_this_month=True)
            ),
        ]

    def __str__(self) -> str:
        return f"order {self.order_id}"


class OrderLineFact(models.Model):
    """One row per order and SKU.

    - `placed_at`, `quantity`, `unit_price`, `currency`: from OrderPlaced; empty if StockRejected arrived first.
    - `rejected_at`, `missing`: from StockRejected, only for lines with too little stock. `missing` is the number of
      pieces that were ordered and not available: the hard part of lost revenue is `missing * unit_price`.

    Pairs of products that are bought together: join the table with itself by `order_id`.
    """

    pk = models.CompositePrimaryKey("order_id", "sku")
    order_id = models.UUIDField()
    sku = models.TextField()
    placed_at = models.DateTimeField(null=True)
    quantity = models.IntegerField(null=True)
    unit_price = models.BigIntegerField(null=True)
    currency = models.TextField(null=True)
    rejected_at = models.DateTimeField(null=True)
    missing = models.IntegerField(null=True)


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


class Minute(models.Model):
    """One row per minute, kind and currency: the number of events, and their units and amounts.

    - `currency` is an empty text for kinds without an amount, for example viewed, reserved and shipped.
    - `units`: pieces of placed, confirmed and cancelled; of cart_changed and checkout_started the pieces in the event;
      else 0.
    - `amount`: the order's total for placed, confirmed and cancelled; the amount of a payment event; the cart's total
      of checkout_started; else 0. Gross revenue: placed or confirmed, as the page defines. Refunds: refunded.
    """

    pk = models.CompositePrimaryKey("minute", "kind", "currency")
    minute = models.DateTimeField()
    kind = models.TextField(choices=Kind)
    currency = models.TextField()
    count = models.BigIntegerField()
    units = models.BigIntegerField()
    amount = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["kind", "minute"], name="minute_of_kind")]


class ProductHour(models.Model):
    """One row per hour, SKU and currency.

    - `views` (ProductViewed) and `carts` (CartChanged with at least one piece) have the empty currency.
    - `ordered_*`, `confirmed_*`: pieces and amounts (quantity * unit price, before discount and shipping) in the hour
      of OrderPlaced and OrderConfirmed.
    - `rejected_*`: missing pieces of StockRejected and their amount, in the hour of the rejection.
    """

    pk = models.CompositePrimaryKey("hour", "sku", "currency")
    hour = models.DateTimeField()
    sku = models.TextField()
    currency = models.TextField()
    views = models.BigIntegerField(db_default=0)
    carts = models.BigIntegerField(db_default=0)
    ordered_units = models.BigIntegerField(db_default=0)
    ordered_amount = models.BigIntegerField(db_default=0)
    confirmed_units = models.BigIntegerField(db_default=0)
    confirmed_amount = models.BigIntegerField(db_default=0)
    rejected_units = models.BigIntegerField(db_default=0)
    rejected_amount = models.BigIntegerField(db_default=0)


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


class SoldOut(models.Model):
    """One row per interval in which a SKU had no available pieces: from StockLow with 0 to StockBack.

    `ended_at` is empty while the product is sold out. The soft part of lost revenue: views during the interval.
    """

    pk = models.CompositePrimaryKey("sku", "began_at")
    sku = models.TextField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["began_at"], name="soldout_began")]


class Arrival(models.Model):
    """One row per minute of event time and minute of arrival: the number of events.

    It answers how late events were (`arrived - minute`), and which part of a minute was known at an earlier time
    (`arrived <= that time`). A rebuild fills the table again, with its own times. Not part of any checksum.
    """

    pk = models.CompositePrimaryKey("minute", "arrived")
    minute = models.DateTimeField()
    arrived = models.DateTimeField(help_text="Minute of the database's clock in which the events were applied.")
    count = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["arrived"], name="arrival_arrived")]


class DaySeal(models.Model):
    """One row per table and past day (UTC): its rows and checksum when the day was complete.

    Only tables whose rows depend on events of that day alone are sealed: activity, minute, product_hour. `restated_at`
    is the time of the last event that arrived after the seal, and `restated_rows` the number of these events.
    """

    pk = models.CompositePrimaryKey("day", "name")
    day = models.DateField()
    name = models.TextField(help_text="The table: activity, minute or product_hour.")
    rows = models.BigIntegerField()
    checksum = models.DecimalField(max_digits=40, decimal_places=0)
    sealed_at = models.DateTimeField(db_default=Now())
    restated_at = models.DateTimeField(null=True)
    restated_rows = models.BigIntegerField(db_default=0)

    class Meta:
        indexes = [models.Index(fields=["day"], name="dayseal_restated", condition=~Q(restated_at=None))]


class ArchivedDay(models.Model):
    """One row per file of the archive: a part of a day's activity, without `order_id` and visitors.

    A late event of a dropped day becomes a further part. `dropped_at` is empty until the partition is dropped: the file
    may then be missing or incomplete, and the table still has the rows.
    """

    pk = models.CompositePrimaryKey("day", "part")
    day = models.DateField()
    part = models.SmallIntegerField(help_text="1, or more for the rows of late events.")
    file = models.TextField(help_text="The name of the file in ANALYTICS_ARCHIVE_DIR.")
    rows = models.BigIntegerField()
    checksum = models.DecimalField(max_digits=40, decimal_places=0, help_text="Of the rows in the file.")
    bytes = models.BigIntegerField()
    archived_at = models.DateTimeField()
    dropped_at = models.DateTimeField(null=True)


class ProductPair(models.Model):
    """One row per product and other product: the number of placed orders that contain both.

    The consumer "bought_together" writes the table. A pair has two rows, one for each direction. An order counts
    when it is placed, also if it is cancelled later: the customer wanted both products.
    """

    pk = models.CompositePrimaryKey("sku", "other")
    sku = models.TextField()
    other = models.TextField()
    orders = models.BigIntegerField()


class GenerationChoice(models.Model):
    """One row: which generation readers read, and the other generation, which is built or kept.

    - `schema`: the schema of PostgreSQL that readers read and the consumer writes.
    - `other`: the schema of the other generation; empty text if there is none.
    - `switched_at`: empty while the other generation is built. Otherwise readers read it until this time, and it is
      kept for a day.
    - `began_at`, `actor`, `reason`: of the rebuild, or of the last switch.
    - `position`, `target`: positions of the outbox: everything up to `position` was read; the build ends at `target`.
    - `events`, `rate`: events that the build has applied, and per second.
    - `beat_at`: the time of the last progress.
    - `is_restoring`: whether activity that the outbox no longer has is missing yet in the other generation. Its days
      before `restored_day` are restored, and `restored_rows` activities of that day.
    - `second_position`, `second_events`: the progress of a second process.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    schema = models.TextField(default="public")
    other = models.TextField(default="", blank=True)
    switched_at = models.DateTimeField(null=True)
    began_at = models.DateTimeField(null=True)
    actor = models.TextField(default="", blank=True)
    reason = models.TextField(default="", blank=True)
    position = models.BigIntegerField(default=0)
    target = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    rate = models.FloatField(default=0)
    beat_at = models.DateTimeField(null=True)
    is_restoring = models.BooleanField(db_default=False, default=False)
    restored_day = models.DateField(null=True)
    restored_rows = models.BigIntegerField(db_default=0, default=0)
    second_position = models.BigIntegerField(db_default=0, default=0)
    second_events = models.BigIntegerField(db_default=0, default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="generationchoice_one_row"),
            models.CheckConstraint(condition=~Q(schema=models.F("other")), name="generationchoice_two_schemas"),
        ]

    def __str__(self) -> str:
        return f"readers read {self.schema}"


class LoadedHistory(models.Model):
    """A note that facts without events in the outbox were loaded, for example by demo_data.

    The recount can't compare these facts: it skips orders before `until` that have no stream, and all counts before the
    end of that hour.
    """

    until = models.DateTimeField(help_text="Every loaded event occurred before this time.")
    loaded_at = models.DateTimeField(db_default=Now())


class FlinkJob(models.Model):
    """One row: the job of Flink, as the part flinkwatch last saw it. There is none before the first look.

    - `state`: one of STATES; `began_at`: since when; `detail`: a sentence for staff, for example the last error.
    - `job`, `restarts`: Flink's id of the job, and how often Flink has restarted it.
    - `checkpoint_at`: the beginning of the last checkpoint of the job's state.
    - `until`: every event that occurred before it is in the tables; empty before the first one is known. It stays true
      while the job recovers: only later figures go back.
    - `waiting`: records of Kafka that are not in the tables for certain.
    - `seen_at`: the time of the look.
    """

    STATES = ("starting", "running", "catching up", "recovering", "failed", "away")

    id = models.SmallIntegerField(primary_key=True, default=1)
    state = models.TextField()
    began_at = models.DateTimeField()
    detail = models.TextField(default="")
    job = models.TextField(default="")
    restarts = models.IntegerField(default=0)
    checkpoint_at = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    waiting = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="flinkjob_one_row")]

    def __str__(self) -> str:
        return f"Flink: {self.state}"
