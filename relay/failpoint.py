"""Labelled points at which a crash would be worst. They do nothing, unless a fault test has installed a hook."""

from collections.abc import Callable

#: Every label there is, in the order of the steps.
LABELS = (
    "relay.leased",
    "relay.fetched",
    "relay.queued",
    "relay.sent",
    "relay.marked",
    "consumer.applied",
    "consumer.committed",
    "consumer.processed",
)

hook: Callable[[str], None] | None = None


def failpoint(label: str) -> None:
    """Say that the process is at the point `label`, for example ``relay.sent``."""
    if hook is not None:
        hook(label)
