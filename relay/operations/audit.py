"""What a person changes by hand is written down in the transaction of the change: who, what, before, after and why."""

import getpass
import os

from relay.consumer.consumer import Consumer
from relay.consumer.registry import all_consumers
from relay.models import Intervention
from relay.operations import Refused


def name_actor() -> str:
    """Return the name of the user of the operating system, for who types a command."""
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
    """Write one row of the audit. Call it in the transaction of what it tells."""
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
    """Refuse what can't be undone as long as nobody says why.

    :raises Refused: the reason is empty.
    """
    if not reason.strip():
        raise Refused("a reason is needed: it stands in the audit beside your name; give it with --reason")


def find_consumer(name: str) -> Consumer:
    """Find a consumer by its name.

    :raises Refused: RELAY["CONSUMERS"] has none of that name.
    """
    consumers = {consumer.name: consumer for consumer in all_consumers()}
    if name not in consumers:
        raise Refused(f"there is no consumer {name!r}: there are {', '.join(consumers) or 'none at all'}")
    return consumers[name]
