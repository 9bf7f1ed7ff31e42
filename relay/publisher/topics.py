"""The topics there are, derived from the event classes of RELAY["EVENTS"]."""

from functools import cache
from importlib import import_module

import msgspec
from django.core.exceptions import ImproperlyConfigured

from relay.conf import configuration
from relay.publisher.event import Event, concrete_events


class UnknownEventType(LookupError):
    """A type that this process does not know: a newer producer is ahead of it. Waits for a newer consumer."""


@cache
def known_events() -> dict[str, type[Event]]:
    """Every event class of the contract, by each CloudEvents type that it reads: its own and the older versions.

    :raises ImproperlyConfigured: two classes have one name.
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
    """Have msgspec look at every event class now: threads that make it do so at the same moment can end the process."""
    for event_class in set(known_events().values()):
        msgspec.json.Decoder(event_class)


def decode_event(event_type: str, topic: str, value: bytes | str) -> Event:
    """Read an event of the contract from its type and its JSON value. An older version becomes the current one.

    :raises UnknownEventType: the contract has no such type in `topic`.
    :raises UnableToDecodeEvent: the value is not an event of that type.
    """
    event_class = known_events().get(event_type)
    if event_class is None or event_class.topic != topic:
        raise UnknownEventType(f"unknown type {event_type!r} in {topic}")
    return event_class.decode(value, version=_version(event_type))


@cache
def _version(event_type: str) -> int:
    return int(event_type.rpartition(".v")[2])


def known_topics() -> list[str]:
    """The names of all topics, sorted."""
    return sorted({cls.topic for cls in known_events().values()})
