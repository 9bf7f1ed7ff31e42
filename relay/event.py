"""What an event is: an immutable struct that knows its topic and its key, and how it looks on the wire."""

from datetime import datetime
from typing import Annotated, ClassVar, Self
from uuid import UUID

import msgspec
from django.utils import timezone
from uuid_utils.compat import uuid7

_encoder = msgspec.json.Encoder()


class _Stamp(msgspec.Struct, frozen=True):
    """What a received event must carry itself; its class's defaults are for new events only."""

    event_id: UUID
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]


_stamp_decoder = msgspec.json.Decoder(_Stamp)


class UnableToDecodeEvent(ValueError):
    """The bytes are not a readable event of that type."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of every event. A concrete event is a subclass without subclasses of its own.

    The id and the time travel in the JSON value too, so that a row of the outbox is a whole event without its
    headers. Fields that a reader does not know are ignored: a newer producer may add optional ones.
    """

    topic: ClassVar[str]
    version: ClassVar[int] = 1

    event_id: UUID = msgspec.field(default_factory=uuid7)
    occurred_at: datetime = msgspec.field(default_factory=timezone.now)

    @property
    def key(self) -> str:
        """The key that orders this event: events of one key are applied in the order of their publication."""
        raise NotImplementedError

    @classmethod
    def type_name(cls) -> str:
        """The CloudEvents type, for example ``OrderPlaced.v1``."""
        return f"{cls.__name__}.v{cls.version}"

    def encode(self) -> bytes:
        """Return the JSON value as it goes over the wire."""
        return _encoder.encode(self)

    @classmethod
    def decode(cls, value: bytes | str) -> Self:
        """Read an event of this type from its JSON value.

        :raises UnableToDecodeEvent: the value is not JSON, or a field is missing or of another type.
        """
        try:
            _stamp_decoder.decode(value)
            return msgspec.json.decode(value, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnableToDecodeEvent(f"not a {cls.type_name()}: {error}") from error


def concrete_events(base: type[Event] = Event) -> dict[str, type[Event]]:
    """Every event class below `base` that names a topic and has no subclasses, by its type name."""
    found: dict[str, type[Event]] = {}
    for cls in base.__subclasses__():
        found |= concrete_events(cls)
    if not base.__subclasses__() and hasattr(base, "topic"):
        found[base.type_name()] = base
    return found
