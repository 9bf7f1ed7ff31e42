from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error, connection

from analytics.flink.progress import Progress
from analytics.flink.watch import Watcher
from relay.heartbeat import Pulse
from relay.process.broker import BrokerUnavailable
from relay.process.loop import stop_on_signals


class Command(BaseCommand):
    help = "Store the state and the progress of Flink's job every second, until SIGTERM."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Look until a signal arrives. A lost connection ends a round, and the next one connects again."""
        stop = stop_on_signals()
        pulse, state, progress = Pulse("flinkwatch"), "", None
        watcher: Watcher | None = None
        while not stop.is_set():
            try:
                if watcher is None or progress is None:
                    progress = Progress()
                    watcher = Watcher(progress)
                row = watcher.look()
                if row.state != state:
                    state = row.state
                    self.stdout.write(f"the job is {state}{f': {row.detail}' if row.detail else ''}")
                    self.stdout.flush()
                pulse.beat()
            except (BrokerUnavailable, Error) as error:
                connection.close()
                if progress:
                    progress.close()
                progress = watcher = None
                pulse.wait(error)
            stop.wait(1)
        if progress:
            progress.close()
