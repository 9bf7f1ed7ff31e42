"""All panels by name, with their definitions. Pages, CSV files and the API read this list."""

from collections.abc import Callable
from dataclasses import dataclass

from analytics.completeness import Completeness
from analytics.panels import anomalies, buyers, funnels, goods, losses, pace
from analytics.panels.period import SPANS, Period
from analytics.panels.reading import Row, remember


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: `columns` maps a column's name to its label; `facts` is the name of the rows behind it."""

    name: str
    title: str
    definition: str
    columns: dict[str, str]
    read: Callable[[Period, Completeness], list[Row]]
    facts: str

    def read_rows(self, period: Period, complete: Completeness) -> list[Row]:
        """Return the rows, at most some seconds old (`SPANS`)."""
        key = (self.name, period.span, period.end)
        return remember(key, SPANS[period.span][3], lambda: self.read(period, complete))


PANELS = {
    panel.name: panel
    for panel in (
        Panel(
            "headline",
            "Headline figures",
            "Sessions: visits of one visitor with pauses of at most 30 minutes; midnight UTC ends a visit. Orders:"
            " placed orders. Gross: their totals with tax and shipping. Net: captured payments minus refunds of the"
            " period. Average: gross divided by orders. Conversion: visits with an order, divided by all visits with"
            " at least two actions that ended more than 30 minutes ago. Every figure has the value of the period"
            " before.",
            {"figure": "Figure", "currency": "Currency", "value": "Value", "before": "Period before"},
            pace.read_headline,
            "orders",
        ),
        Panel(
            "pace",
            "Orders and revenue",
            "Placed orders and their totals by the time of the order. The line is the same time a week before (30 days:"
            " four weeks before). Hatched bars are not settled: events of that time may still arrive. A bar is missing"
            " where nothing is known.",
            {
                **{"begin": "Begin (UTC)", "currency": "Currency", "orders": "Orders", "revenue": "Revenue"},
                **{"orders_before": "Orders before", "revenue_before": "Revenue before", "is_settled": "Settled"},
            },
            pace.read_pace,
            "orders",
        ),
        Panel(
            "visits",
            "From visit to order",
            "A closed funnel of visits that began in the period: each step counts the visits that also took all steps"
            " before it. Only visits with at least two actions count, because with one action nobody knows whether the"
            " browser kept its cookie. Visits count 30 minutes after their last action.",
            {"step": "Step", "count": "Visits", "share": "Of all", "kept": "Of the step before"},
            funnels.read_visits,
            "sessions",
        ),
        Panel(
            "abandoned",
            "Abandoned carts",
            "Visits that ended more than 30 minutes ago with pieces in the cart and without an order. The amount is the"
            " total that the checkout page showed; carts that never reached this page have no known amount.",
            {"currency": "Currency", "carts": "Carts", "amount": "Amount"},
            funnels.read_abandoned,
            "sessions",
        ),
        Panel(
            "orders",
            "From order to delivery",
            "The orders placed in the period, and the steps that they have reached by now. Young orders need time:"
            " a parcel takes days.",
            {"step": "Step", "count": "Orders", "share": "Of all", "kept": "Of the step before"},
            funnels.read_orders,
            "orders",
        ),
        Panel(
            "durations",
            "Time to confirm, pay and ship",
            "Seconds from the order to each step, for the orders placed in the period that have reached it. Half of"
            " them took at most p50; 95 and 99 of 100 took at most p95 and p99. Values are rounded to three digits, and"
            " below ten seconds to hundredths. Waiting: orders that have not reached the step and are not cancelled;"
            " they are not part of the percentiles.",
            {
                **{"step": "Step", "orders": "Orders", "p50": "p50", "p95": "p95", "p99": "p99"},
                **{"waiting": "Waiting"},
            },
            funnels.read_durations,
            "orders",
        ),
        Panel(
            "declines",
            "Declined payments",
            "Orders of the period whose payment the gateway declined, by its reason. The share is of all orders whose"
            " payment was authorized or declined.",
            {"reason": "Reason", "orders": "Orders", "share": "Share"},
            losses.read_declines,
            "declined",
        ),
        Panel(
            "cancellations",
            "Cancelled orders",
            "Orders of the period that were cancelled later, by reason and currency.",
            {"reason": "Reason", "currency": "Currency", "orders": "Orders", "amount": "Amount"},
            losses.read_cancellations,
            "cancelled",
        ),
        Panel(
            "refunds",
            "Refunds",
            "Refunds by the time of the refund, next to the payments captured in the same time. A refund may belong"
            " to an order of an earlier time.",
            {
                **{"currency": "Currency", "refunds": "Refunds", "refunded": "Refunded", "captured": "Captured"},
                **{"share": "Share"},
            },
            losses.read_refunds,
            "refunded",
        ),
        Panel(
            "products",
            "Top products",
            "Pieces and amounts (quantity times price, before discount and shipping) of placed orders by product, in"
            " whole hours. The change compares with the period before.",
            {
                **{"sku": "SKU", "currency": "Currency", "units": "Pieces", "amount": "Amount", "views": "Views"},
                **{"units_before": "Pieces before", "change": "Change"},
            },
            goods.read_top,
            "products",
        ),
        Panel(
            "rising",
            "Rising products",
            f"Products with at least {goods.FEWEST_RISING} pieces in placed orders that sold more than in the period"
            " before, the largest growth first. Three pieces are added to the period before, so that small numbers do"
            " not win.",
            {
                **{"sku": "SKU", "currency": "Currency", "units": "Pieces", "amount": "Amount", "views": "Views"},
                **{"units_before": "Pieces before", "change": "Change"},
            },
            goods.read_rising,
            "products",
        ),
        Panel(
            "stockouts",
            "Sold out",
            "Times without an available piece that touch the period. Lost: pieces that customers ordered meanwhile"
            " and did not get, with their price; this loss is certain. Views meanwhile: visitors who saw the product"
            " and could not buy it; nobody knows how many would have bought it. Hours are whole.",
            {
                **{"sku": "SKU", "began_at": "Began (UTC)", "ended_at": "Ended (UTC)", "views": "Views meanwhile"},
                **{"missing": "Missing pieces", "currency": "Currency", "lost": "Lost"},
            },
            goods.read_stockouts,
            "sold_out",
        ),
        Panel(
            "buyers",
            "New and returning buyers",
            "Orders by buyers without an earlier order, and by buyers who return. Orders from before this was"
            " recorded are unknown. No row leads to a buyer.",
            {"buyer": "Buyer", "currency": "Currency", "orders": "Orders", "amount": "Amount"},
            buyers.read_buyers,
            "orders",
        ),
        Panel(
            "cohorts",
            "Cohorts",
            "Buyers by the month of their first order, and how many of them ordered in each later month. All times,"
            f" not only the chosen period. Numbers below {buyers.FEWEST} are hidden. The share is of the cohort's first"
            " month; it is unknown if that month is before the first recorded order.",
            {"cohort": "First order", "month": "Month", "buyers": "Buyers", "share": "Share", "is_hidden": "Hidden"},
            buyers.read_cohorts,
            "orders",
        ),
        Panel(
            "anomalies",
            "Unusual times",
            "Orders in five minutes, compared with the median of the same time and weekday in the last four weeks (at"
            " least two). A time is unusual if its number is far outside the band that chance explains, or if no order"
            " came while about 14 were expected. Only complete times are judged. By chance this happens less than once"
            " a week.",
            {
                **{"begin": "Begin (UTC)", "end": "End (UTC)", "kind": "Kind", "orders": "Orders"},
                **{"expected": "Expected", "low": "Usual from", "high": "Usual to", "why": "Why"},
            },
            anomalies.read_anomalies,
            "orders",
        ),
        Panel(
            "arrivals",
            "Known then and now",
            "Events by the time at which they occurred: those that analytics knew within a minute or two, and those"
            " that it knows now. A difference means that analytics was stopped or late at that time, and has caught up"
            " since. Events are never dropped because they are late.",
            {
                **{"begin": "Begin (UTC)", "known_then": "Known then", "known_now": "Known now", "later": "Came later"},
                **{"last_arrived": "Last arrival (UTC)"},
            },
            pace.read_arrivals,
            "arrivals",
        ),
    )
}
#: Names of columns by the kind of their values; all other columns are texts or counts.
MONEY = {"revenue", "revenue_before", "amount", "refunded", "captured", "lost"}
SHARES = {"share", "kept", "change"}
SECONDS = {"p50", "p95", "p99"}
