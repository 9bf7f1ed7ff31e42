"""The trace context that an event carries, if the process has one."""


def current_traceparent() -> str:
    """Return the W3C trace context of what is being done now; empty without one."""
    return ""
