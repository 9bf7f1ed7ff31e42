"""Work in flight: rows, events, gateway calls and messages that the processes will complete automatically."""

import time
from collections.abc import Callable

from inventory.verification import find_backorders_in_flight
from notifications.verification import find_messages_in_flight
from payments.reconciliation.comparison import find_money_in_flight
from relay.consumer.lag import read_lags
from relay.consumer.registry import all_consumers
from relay.health.backlog import read_unpublished

POLL_SECONDS = 0.5


def read_in_flight() -> dict[str, int]:
    """Return the number of unfinished items by kind, without the kinds that have none."""
    counts = {"unpublished_rows": read_unpublished().rows}
    counts |= {f"events_for_{name}": lag.events for name, lag in read_lags(all_consumers()).items()}
    counts["gateway_calls"] = find_money_in_flight()
    counts["backorders"] = find_backorders_in_flight()
    counts["messages"] = find_messages_in_flight()
    return {part: count for part, count in counts.items() if count}


def wait_until_drained(seconds: float, tell: Callable[[str], None]) -> dict[str, int]:
    """Wait at most `seconds` until nothing is in flight, and return the numbers of unfinished items by kind."""
    deadline = time.monotonic() + seconds
    while True:
        in_flight = read_in_flight()
        if not in_flight or time.monotonic() >= deadline:
            return in_flight
        tell(f"waiting for {', '.join(f'{count:,} {part}' for part, count in in_flight.items())}")
        time.sleep(POLL_SECONDS)
