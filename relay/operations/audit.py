"""The audit of manual changes: who, what, before, after and why, written in the transaction of the change."""

import getpass
import os

from relay.consumer.consumer import Consumer
from relay.consumer.registry import all_consumers
from relay.models import Intervention
from relay.operations import Refused


def name_actor() -> str:
    """Return the user name of the operating system, for commands."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return f"uid {os.getuid()}"


def record_intervention(
    action: str,
    *,
    actor: str,
    reason: str,
    consumer: str = "",
    topic: str = "",
    key: str = "",
    sequence: int | None = None,
    before: str = "",
    after: str = "",
) -> None:
    """Write one row of the audit. Call this in the transaction of the change."""
    Intervention.objects.create(
        action=action,
        actor=actor,
        reason=reason,
        consumer=consumer,
        topic=topic,
        key=key,
        sequence=sequence,
        before=before,
        after=after,
    )


def demand_reason(reason: str) -> None:
    """Check that `reason` is given.

    :raises Refused: `reason` is empty.
    """
    if not reason.strip():
        raise Refused("a reason is needed: it is stored in the audit with your name; give it with --reason")


def find_consumer(name: str) -> Consumer:
    """Return the consumer with this name.

    :raises Refused: RELAY["CONSUMERS"] contains no consumer with this name.
    """
    consumers = {consumer.name: consumer for consumer in all_consumers()}
    if name not in consumers:
        raise Refused(f"there is no consumer {name!r}; RELAY['CONSUMERS'] has: {', '.join(consumers) or 'none'}")
    return consumers[name]
