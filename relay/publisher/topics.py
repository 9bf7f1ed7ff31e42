"""The topics and event types, derived from the event classes of RELAY["EVENTS"]."""

from functools import cache
from importlib import import_module

import msgspec
from django.core.exceptions import ImproperlyConfigured

from relay.conf import configuration
from relay.publisher.event import Event, concrete_events


class UnknownEventType(LookupError):
    """A type that this process does not know, because its producer is newer. The event waits for a newer consumer."""


@cache
def known_events() -> dict[str, type[Event]]:
    """Return the event classes of RELAY["EVENTS"] by CloudEvents type. A class has one entry per readable version.

    :raises ImproperlyConfigured: two classes have the same name.
    """
    modules = configuration().event_modules
    for module in modules:
        import_module(module)
    known: dict[str, type[Event]] = {}
    for cls in concrete_events():
        for version in cls.readable_versions() if cls.__module__ in modules else ():
            other = known.setdefault(cls.type_name(version), cls)
            if other is not cls:
                raise ImproperlyConfigured(f"{cls.__module__} and {other.__module__} both have a {cls.__name__}")
    return known


def build_decoders() -> None:
    """Let msgspec inspect every event class now, in one thread: concurrent inspection can crash the process."""
    for event_class in set(known_events().values()):
        msgspec.json.Decoder(event_class)


def decode_event(event_type: str, topic: str, value: bytes | str) -> Event:
    """Return the event in the JSON `value`. An older version is upcast to the current one.

    :raises UnknownEventType: no event class with this `topic` can read `event_type`.
    :raises UnableToDecodeEvent: `value` is not an event of `event_type`.
    """
    event_class = known_events().get(event_type)
    if event_class is None or event_class.topic != topic:
        raise UnknownEventType(f"unknown type {event_type!r} in {topic}")
    return event_class.decode(value, version=_version(event_type))


@cache
def _version(event_type: str) -> int:
    return int(event_type.rpartition(".v")[2])


def known_topics() -> list[str]:
    """Return the names of all topics, sorted."""
    return sorted({cls.topic for cls in known_events().values()})
