"""Published events, read from the outbox of the current transaction, whether they are delivered or not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from django.db.models import Max, QuerySet

from relay.models import Outbox
from relay.publisher.event import Event
from relay.publisher.topics import decode_event, known_events

E = TypeVar("E", bound=Event)


@overload
def published(*, key: object = None) -> list[Event]: ...
@overload
def published(event_class: type[E], *, key: object = None) -> list[E]: ...
def published(event_class: type[Event] = Event, *, key: object = None) -> list[Any]:
    """Return the events of `event_class` and its subclasses in order of publication; with `key`, only its events."""
    topics = {cls.topic for cls in known_events().values() if issubclass(cls, event_class)}
    rows = Outbox.objects.filter(topic__in=topics)
    if key is not None:
        rows = rows.filter(key=str(key))
    return [event for event in read_events(rows) if isinstance(event, event_class)]


def assert_published(event_class: type[E], *, key: object = None, times: int = 1, **fields: object) -> E:
    """Check that exactly `times` events of `event_class` have these `fields`, and return the first one.

    :raises AssertionError: there are fewer or more; the message lists the published events.
    """
    unknown = ", ".join(sorted(fields.keys() - set(event_class.__struct_fields__)))
    if unknown or times < 1:
        raise TypeError(f"{event_class.__name__} has no field {unknown}" if unknown else "use assert_nothing_published")
    wanted = fields if key is None else {"key": str(key), **fields}
    found = [event for event in published(event_class, key=key) if not find_differences(event, wanted)]
    if len(found) == times:
        return found[0]
    asked = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
    raise AssertionError(
        f"{event_class.__name__}({asked}) was published {len(found)} times, not {times}. Published events:\n"
        + format_events(published(), event_class, wanted)
    )


def assert_nothing_published(event_class: type[Event] = Event, *, key: object = None) -> None:
    """Check that no event of `event_class` was published, or none with this `key`.

    :raises AssertionError: there are events; the message lists them.
    """
    found = published(event_class, key=key)
    if found:
        raise AssertionError(f"expected no published event, but found:\n{format_events(found)}")


@contextmanager
def capture_published() -> Iterator[list[Event]]:
    """Yield a list, to which the events that the block publishes are added at its end."""
    last = Outbox.objects.aggregate(last=Max("position"))["last"] or 0
    events: list[Event] = []
    yield events
    events += read_events(Outbox.objects.filter(position__gt=last))


def read_events(rows: QuerySet[Outbox]) -> list[Event]:
    """Return the events of `rows` in the order of their positions."""
    return [decode_event(row.type, row.topic, row.body) for row in rows.order_by("position")]


def find_differences(event: Event, wanted: Mapping[str, object]) -> dict[str, object]:
    """Return, by name, the values of `event` that differ from `wanted`."""
    return {name: getattr(event, name) for name, value in wanted.items() if getattr(event, name) != value}


def format_events(
    events: list[Event], event_class: type[Event] | None = None, wanted: Mapping[str, object] | None = None
) -> str:
    """Return one line per event. Lines of `event_class` include the differences from `wanted`."""
    lines = []
    for event in events:
        differences = find_differences(event, wanted or {}) if event_class and isinstance(event, event_class) else {}
        other = "".join(f"  <- {name} is {value!r}" for name, value in differences.items())
        lines.append(f"  {event}{other}")
    return "\n".join(lines) or "  nothing"
