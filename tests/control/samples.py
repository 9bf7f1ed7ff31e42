"""The newest figures of the control room of a running shop, read once for each sample."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.faults.counting import connect
from tests.running_shop import RunningShop

_NEWEST = "select max(period) from control_sample where figures is not null"


def read_now(shop: RunningShop) -> dict[str, Any]:
    """Return the newest figures of the running shop, with their verdict."""
    shown = shop.manage("control", "--json")
    assert shown.returncode == 0, shown.stderr
    figures: dict[str, Any] = json.loads(shown.stdout)
    return figures


def wait_for_sample(shop: RunningShop, is_so: Callable[[], bool], *, seconds: float) -> bool:
    """Call `is_so` now and after each new sample until it holds. Return False if it does not hold within `seconds`.

    `is_so` runs a command, so calls without a new sample would keep a processor busy.
    """
    deadline, known = time.monotonic() + seconds, None
    with connect(shop) as database:
        while time.monotonic() < deadline:
            newest = database.execute(_NEWEST).fetchone()
            if newest != known and is_so():
                return True
            known = newest
            time.sleep(0.05)
    return False
