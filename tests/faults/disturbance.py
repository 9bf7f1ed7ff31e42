"""Disturbances of the harness's relays and consumers: delays at labelled points and crashes at some of them."""

import os
import signal
import time
from collections.abc import Callable
from random import Random
from typing import Any, NoReturn

from django.db import OperationalError

from relay.consumer import subscription

# The labels at which the first, second … process of a role ends. Later processes do not crash.
CRASHES = {"relay": ["relay.sent", "relay.fetched"], "consumer": 3 * ["consumer.applied", "consumer.processed"]}


def make_disturbance(role: str, life: int, random: Random, *, crashes: bool) -> Callable[[str], None]:
    """Return a hook that delays at random and, if `crashes`, ends the first processes at the labels of CRASHES.

    `life` counts the earlier processes. The first consumer is stopped while the database is away, so it can't apply the
    events it has received.
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


_members: list[subscription.Subscription] = []


def remember_sources() -> None:
    """Record the Kafka clients of this process for `die`."""
    init = subscription.Subscription.__init__

    def remember(member: subscription.Subscription, *args: Any, **kwargs: Any) -> None:
        init(member, *args, **kwargs)
        _members.append(member)

    subscription.Subscription.__init__ = remember  # type: ignore[method-assign, assignment]


def die() -> NoReturn:
    """Kill this process with SIGKILL, after closing its Kafka clients: the group need not wait ten seconds."""
    for member in _members:
        member.close()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")
