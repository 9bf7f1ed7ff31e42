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

from analytics.models.counts import Arrival, Minute, ProductHour
from analytics.models.days import ArchivedDay, DaySeal
from analytics.models.flink import FlinkJob
from analytics.models.generations import GenerationChoice, LoadedHistory
from analytics.models.kinds import ACTIVITIES, MILESTONES, Kind
from analytics.models.orders import OrderFact, OrderLineFact
from analytics.models.pairs import ProductPair
from analytics.models.stock import SoldOut
from analytics.models.sums import DurationDay, MinuteDay, OrderDay, ProductDay
from analytics.models.visits import Activity, Session, SessionDay, Touched

__all__ = [
    "ACTIVITIES",
    "MILESTONES",
    "Activity",
    "ArchivedDay",
    "Arrival",
    "DaySeal",
    "DurationDay",
    "FlinkJob",
    "GenerationChoice",
    "Kind",
    "LoadedHistory",
    "Minute",
    "MinuteDay",
    "OrderDay",
    "OrderFact",
    "OrderLineFact",
    "ProductDay",
    "ProductHour",
    "ProductPair",
    "Session",
    "SessionDay",
    "SoldOut",
    "Touched",
]
