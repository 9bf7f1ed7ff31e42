"""The scenarios of the lab. All durations are in shop seconds: the time factor divides them.

A rate is in orders per real second. At time factor 10, 20 orders per real second are 2 orders per second of the
synchronous shop's time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shop.lab.arrivals import Stream

OUTAGE = 600.0
#: Parts that a switch stops, as our shop and the synchronous shop call them. The synchronous shop has no Kafka.
PARTS = {
    "payments": "payments",
    "inventory": "inventory",
    "notifications": "email",
    "analytics": "analytics",
    "kafka": None,
}
PIECES, BUYERS, FLASH_PRICE = 100, 5000, 9900


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run in real seconds: arrivals, and switches as (part, start, end)."""

    rate: float
    seconds: float
    switches: list[tuple[str, float, float]] = field(default_factory=list)
    last_rate: float = 0.0
    is_flash: bool = False
    most: int = 40_000
    #: Shop seconds after which a customer gives up.
    patience: float = 30.0
    #: The synchronous shop with a retry queue gets the stream, too.
    has_queue: bool = False
    bug: tuple[float, float] | None = None
    joins_at: float | None = None

    def count_orders(self) -> float:
        """Return the expected number of orders, before the limit of the load cuts them off."""
        expected = (self.rate + (self.last_rate or self.rate)) / 2 * self.seconds
        return min(self.most, expected) if self.is_flash else expected

    def make_stream(self, seed: int, product: str) -> Stream:
        """Return the stream of orders; `product` is the only product of a flash sale."""
        only = {"product": product, "price": FLASH_PRICE} if self.is_flash else {}
        return Stream(seed, self.rate, self.seconds, self.last_rate, most=self.most, **only)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: `seconds` is the usual duration of the arrivals in shop seconds."""

    title: str
    text: str
    seconds: float
    plan: Callable[[float, int, float], Plan]


def _outage(part: str, *, has_queue: bool = False) -> Callable[[float, int, float], Plan]:
    """Return a plan with `part` off for two thirds of the time, in the middle: 10 of 15 minutes."""

    def plan(rate: float, factor: int, seconds: float) -> Plan:
        real = seconds / factor
        return Plan(rate, real, [(part, real / 9, real / 9 + real * 2 / 3)], has_queue=has_queue)

    return plan


def _calm(rate: float, factor: int, seconds: float) -> Plan:
    return Plan(rate, seconds / factor)


def _ramp(rate: float, factor: int, seconds: float) -> Plan:
    """Grow from half the rate to twelve times the rate: 10 to 240 orders/s at the usual rate."""
    return Plan(rate / 2, seconds / factor, last_rate=rate * 12)


def _flash(rate: float, factor: int, seconds: float) -> Plan:
    """Let BUYERS come at 25 times the rate, and wait for as long as it takes."""
    return Plan(rate * 25, seconds / factor, is_flash=True, most=BUYERS, patience=3600.0)


def _bug(rate: float, factor: int, seconds: float) -> Plan:
    real = seconds / factor
    return Plan(rate, real, bug=(real / 6, real * 2 / 3))


def _latecomer(rate: float, factor: int, seconds: float) -> Plan:
    return Plan(rate, seconds / factor, joins_at=seconds / factor * 2 / 3)


SCENARIOS = {
    "calm": Scenario("Calm", "Everything runs. Each shop shows what a customer waits on a good day.", 600, _calm),
    "payments": Scenario("Payments down", "Payments are down for ten minutes.", 900, _outage("payments")),
    "inventory": Scenario(
        "Inventory down",
        "Inventory is down for ten minutes. A retry queue, 8 % faster than the arrivals, gets the same orders.",
        900,
        _outage("inventory", has_queue=True),
    ),
    "notifications": Scenario("E-mail down", "Letters can't be sent for ten minutes.", 900, _outage("notifications")),
    "analytics": Scenario("Analytics down", "Analytics is down for ten minutes.", 900, _outage("analytics")),
    "kafka": Scenario(
        "Kafka down", "Kafka is down for ten minutes. The synchronous shop has none.", 900, _outage("kafka")
    ),
    "ramp": Scenario("Ramp", "The rate grows until each shop is saturated.", 900, _ramp),
    "flash": Scenario("Flash sale", f"{BUYERS:,} buyers want {PIECES} pieces.", 100, _flash),
    "bug": Scenario(
        "Bug in a handler", "A deployment breaks the letters of one order in eight, and is fixed.", 600, _bug
    ),
    "latecomer": Scenario("A late consumer", "A new consumer joins while the shop sells.", 300, _latecomer),
    "free": Scenario("Free run", "Orders come until you stop the run. Switch parts off as you like.", 18_000, _calm),
}
#: The scenarios of `make lab`.
REPORTED = ("calm", "payments", "inventory", "analytics", "kafka", "ramp", "flash", "bug", "latecomer")
