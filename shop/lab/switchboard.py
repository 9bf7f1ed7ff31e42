"""Switches parts of both shops off and on, as the rows of lab.switch say.

Our parts stop by a stop file with an end. The supervisor starts the part at this end, also if the lab's process was
killed or the machine is too busy. The parts of the synchronous shop are children of the lab's process.
"""

import time

from shop.embedded import run_files
from shop.lab import switches
from shop.lab.processes import SeedShop
from shop.lab.scenarios import PARTS


def find_parts(part: str) -> list[str]:
    """Return the supervisor's names of `part`: Kafka may have several brokers."""
    return [name for name in run_files.read_parts() if name == part or name.rpartition("-")[0] == part]


def revert_all() -> list[str]:
    """Let the supervisor start every part that a lab has stopped. Return the names."""
    stopped = sorted(run_files.read_ends())
    for name in stopped:
        (run_files.STOPPED / name).unlink(missing_ok=True)
    return stopped


class Switchboard:
    """The switches of one run. `began` is the monotonic time of its start."""

    def __init__(self, run_id: int, seed: SeedShop, began: float) -> None:
        self._run_id, self._seed, self._began = run_id, seed, began

    def advance(self) -> list[switches.Switch]:
        """Switch off and on what is due, and return all switches."""
        rows = switches.read_switches(self._run_id)
        now = time.monotonic() - self._began
        off = {switch.part for switch in rows if switch.starts <= now < switch.ends}
        for switch in rows:
            if switch.off_at is None and switch.starts <= now < switch.ends:
                self._switch_off(switch, now)
            elif switch.off_at and not switch.on_at and now >= switch.ends:
                if switch.part not in off:
                    self.switch_on(switch.part)
                switches.note_switch(switch.id, "on_at")
            elif switch.on_at and not switch.running_at and is_running(switch.part):
                switches.note_switch(switch.id, "running_at")
        return rows

    def _switch_off(self, switch: switches.Switch, now: float) -> None:
        until = time.time() + switch.ends - now
        for name in find_parts(switch.part):
            run_files.stop_until(name, until)
        if theirs := PARTS.get(switch.part):
            self._seed.stop_part(theirs)
        switches.note_switch(switch.id, "off_at")

    def switch_on(self, part: str) -> None:
        """Switch `part` on in both shops."""
        for name in find_parts(part):
            (run_files.STOPPED / name).unlink(missing_ok=True)
        if theirs := PARTS.get(part):
            self._seed.start_part(theirs)


def is_running(part: str) -> bool:
    """Return whether the supervisor reports `part` of our shop as healthy."""
    parts = run_files.read_parts()
    return all(parts[name]["state"] == "running" for name in find_parts(part))
