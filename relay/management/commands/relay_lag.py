from typing import Any

from relay.consumer.lag import read_lags
from relay.consumer.registry import all_consumers
from relay.health.backlog import read_unpublished
from relay.management.operation import Operation, format_age


class Command(Operation):
    help = "Show the unpublished rows of the outbox, and the lag of each consumer."

    def operate(self, **options: Any) -> None:
        """Read and print the lag."""
        unpublished = read_unpublished()
        lags = read_lags(all_consumers())
        lines = [
            f"outbox: {unpublished.rows} unpublished, the oldest {format_age(unpublished.oldest_seconds)} old; "
            f"{unpublished.refused} refused",
            f"{'consumer':<16}{'events':>9}{'keys':>9}{'oldest':>9}{'parked':>9}",
        ]
        lines += [
            f"{name:<16}{lag.events:>9}{lag.keys:>9}{format_age(lag.oldest_seconds):>9}{lag.parked:>9}"
            + ("" if lag.exact else "   events and keys are estimates")
            for name, lag in lags.items()
        ]
        self.print_result({"outbox": unpublished, "consumers": lags}, lines, as_json=options["json"])
