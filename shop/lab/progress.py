"""The course of a run, and the changes that the lab's process does on the way: deploy a bug, fix it, redrive."""

import time
from dataclasses import dataclass

from django.db import connection

from relay.operations.mend import redrive
from relay.operations.parked import Selection, list_parked
from shop.embedded import run_files
from shop.lab.switches import Switch

ACTOR = "the lab"
#: Our shop has caught up when at most the orders of this many seconds wait.
USUAL_SECONDS = 2.0
#: After these seconds beyond the plan the supervisor starts the replaced consumer, if the lab's process does not.
SPARE_SECONDS = 30.0


@dataclass(slots=True)
class Progress:
    """The course of a run. Times are real seconds since its start."""

    is_fixed: bool = False
    is_redriven: bool = False
    parked: int = 0
    redriven_at: float | None = None
    joined_at: float | None = None
    caught_up_at: float | None = None
    known_before: int = 0
    drained_at: float | None = None
    running_at: float | None = None
    most_waiting: int = 0

    def note(self, now: float, waiting: dict[str, int], switches: list[Switch], rate: float) -> None:
        """Note when our shop has caught up after the last switch."""
        ours = waiting.get("ours", 0)
        self.most_waiting = max(self.most_waiting, ours)
        off = [switch for switch in switches if switch.off_at]
        if not off:
            return
        if any(switch.on_at is None for switch in off):
            self.drained_at = self.running_at = None
        elif all(switch.running_at for switch in off):
            self.running_at = self.running_at if self.running_at is not None else now
            if self.drained_at is None and ours <= USUAL_SECONDS * rate:
                self.drained_at = now

    def replace_consumer(self, consumer: str, seconds: float) -> None:
        """Let the supervisor stop a consumer: one with a bug takes its place."""
        run_files.stop_until(consumer, time.time() + seconds + SPARE_SECONDS)

    def restore_consumer(self, consumer: str) -> None:
        """Count what the bug has parked, and let the supervisor start the fixed consumer."""
        self.parked = len(list_parked(Selection(consumer=consumer)))
        (run_files.STOPPED / consumer).unlink(missing_ok=True)
        self.is_fixed = True

    def redrive(self, consumer: str, now: float) -> None:
        """Redrive the parked keys of the fixed consumer."""
        redrive(Selection(consumer=consumer), actor=ACTOR, reason="the lab has deployed the fix")
        self.is_redriven, self.redriven_at = True, now

    def join(self, run_id: int, now: float) -> None:
        """Note that the late consumer starts."""
        self.joined_at = now
        self.known_before = read_number("select count(*) from lab_seed.sale where run = %s", run_id)

    def has_caught_up(self, run_id: int, now: float) -> bool:
        """Return whether the late consumer knows every order of the run."""
        missing = read_number(
            "select count(*) from lab.request r where run = %s and shop = 'ours' and outcome = 'ok'"
            " and not exists (select from lab.latecomer l where l.run = r.run and l.order_id = r.order_id)",
            run_id,
        )
        if not missing and self.caught_up_at is None:
            self.caught_up_at = now
        return not missing


def read_number(statement: str, run_id: int) -> int:
    """Return the single number that `statement` finds for a run."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [run_id])
        return int(cursor.fetchone()[0] or 0)
