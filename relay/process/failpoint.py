"""Failpoints: labelled points at which a crash does the most harm. They do nothing unless a fault test sets `hook`."""

from collections.abc import Callable

hook: Callable[[str], None] | None = None


def failpoint(label: str) -> None:
    """Call the hook, if any, with `label`, for example ``relay.sent``."""
    if hook is not None:
        hook(label)
