"""The topics there are, derived from the event classes of RELAY["EVENTS"]."""

from functools import cache
from importlib import import_module

from django.conf import settings

from relay.event import Event, concrete_events


@cache
def known_events() -> dict[str, type[Event]]:
    """Every event of the contract, by its CloudEvents type."""
    modules = settings.RELAY["EVENTS"]
    for module in modules:
        import_module(module)
    return {name: cls for name, cls in concrete_events().items() if cls.__module__ in modules}


def known_topics() -> list[str]:
    """The names of all topics, sorted."""
    return sorted({cls.topic for cls in known_events().values()})
