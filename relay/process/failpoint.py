"""Labelled points at which a crash would be worst. They do nothing, unless a fault test has installed a hook."""

from collections.abc import Callable

hook: Callable[[str], None] | None = None


def failpoint(label: str) -> None:
    """Say that the process is at the point `label`, for example ``relay.sent``."""
    if hook is not None:
        hook(label)
