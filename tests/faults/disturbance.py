"""What is done to a relay or a consumer of the harness: it is slow at labelled points, and dies at some of them."""

import os
import signal
import time
from collections.abc import Callable
from random import Random
from typing import Any, NoReturn

from django.db import OperationalError

from relay.consumer import subscription

# Where a process's first, second … life ends; later ones last.
CRASHES = {"relay": ["relay.sent", "relay.fetched"], "consumer": 3 * ["consumer.applied", "consumer.processed"]}


def make_disturbance(role: str, life: int, random: Random, *, crashes: bool) -> Callable[[str], None]:
    """Return a hook that is slow at random labels and, if it `crashes`, ends the first lives at the labels of CRASHES.

    A consumer's first end is a stop while the database is away, so that what it has received can't be applied any more.
    """
    labels = CRASHES[role][life : life + 1] if crashes else []
    left = random.randint(1, 4)

    def disturb(label: str) -> None:
        nonlocal left
        if random.random() < 0.5:
            time.sleep(random.random() * 0.03)
        left -= label in labels
        if label not in labels or left > 0:
            return
        if role == "relay" or life > 0:
            die()
        os.kill(os.getpid(), signal.SIGTERM)
        raise OperationalError("the server closed the connection unexpectedly")

    return disturb


_sources: list[subscription.Source] = []


def remember_sources() -> None:
    """Let `die` find the clients of this process."""
    init = subscription.Source.__init__

    def remember(source: subscription.Source, *args: Any, **kwargs: Any) -> None:
        init(source, *args, **kwargs)
        _sources.append(source)

    subscription.Source.__init__ = remember  # type: ignore[method-assign, assignment]


def die() -> NoReturn:
    """kill -9 in all but this: the group learns at once, instead of after the session's ten seconds."""
    for source in _sources:
        source.close()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")
