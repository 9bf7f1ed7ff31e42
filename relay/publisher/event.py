"""What an event is: an immutable struct that knows its topic and its key, and how it looks on the wire.

A version that was once published stays readable for ever: its class turns it into its own by its upcasters.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import msgspec
from django.utils import timezone
from msgspec import Meta
from uuid_utils.compat import uuid7

#: Takes the JSON object of one version and returns that of the next.
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

#: An index holds a key with its topic and a consumer's name, and PostgreSQL's take 2,704 bytes.
MAX_KEY_CHARACTERS = 500

_encoder = msgspec.json.Encoder()


class _Stamp(msgspec.Struct, frozen=True):
    """What a received event must carry itself, of whatever type: its class's defaults are for new events only."""

    event_id: object
    occurred_at: object


_stamp_decoder = msgspec.json.Decoder(_Stamp)
_decoder_of = cache(msgspec.json.Decoder)
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def unchanged(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value`: the upcaster of a version whose every event the next one can read as it stands."""
    return value


class UnableToDecodeEvent(ValueError):
    """The bytes are not a readable event of that type."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of every event. A concrete event is a subclass without subclasses of its own.

    The id and the time travel in the JSON value too, so that a row of the outbox is a whole event without its
    headers. Fields that a reader does not know are ignored: a newer producer may add optional ones.
    """

    topic: ClassVar[str]
    version: ClassVar[int] = 1
    #: By the version that each of them reads; together they lead to `version`.
    upcasters: ClassVar[Mapping[int, Upcaster]] = {}

    event_id: Annotated[UUID, Meta(description="Id of the event, a UUIDv7; equal to the header ce_id.")] = (
        msgspec.field(default_factory=uuid7)
    )
    occurred_at: Annotated[
        datetime, Meta(tz=True, description="Time of the event, with a time zone; equal to the header ce_time.")
    ] = msgspec.field(default_factory=timezone.now)

    @property
    def key(self) -> str:
        """The key that orders this event: events of one key are applied in the order of their publication."""
        raise NotImplementedError

    @classmethod
    def type_name(cls, version: int | None = None) -> str:
        """The CloudEvents type of this version or of an older one, for example ``OrderPlaced.v1``."""
        return f"{cls.__name__}.v{version or cls.version}"

    @classmethod
    def readable_versions(cls) -> range:
        """The versions that can be read: the current one, and those from which upcasters lead to it."""
        oldest = cls.version
        while oldest - 1 in cls.upcasters:
            oldest -= 1
        return range(oldest, cls.version + 1)

    def encode(self) -> bytes:
        """Return the JSON value as it goes over the wire."""
        return _encoder.encode(self)

    @classmethod
    def decode(cls, value: bytes | str, *, version: int | None = None) -> Self:
        """Read an event of this type from the JSON value of `version`, by default the current one.

        :raises UnableToDecodeEvent: the value is not JSON, or a field is missing or of another type.
        """
        try:
            if version is not None and version != cls.version:
                value = cls._upcast(value, version)
            _stamp_decoder.decode(value)
            decoder: msgspec.json.Decoder[Self] = _decoder_of(cls)
            return decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnableToDecodeEvent(f"not a {cls.type_name(version)}: {error}") from error

    @classmethod
    def _upcast(cls, value: bytes | str, version: int) -> bytes:
        known = _object_decoder.decode(value)
        for step in range(version, cls.version):
            try:
                known = cls.upcasters[step](known)
            except Exception as error:
                what = f"{cls.type_name(step)} can't become {cls.type_name(step + 1)}"
                raise UnableToDecodeEvent(f"{what}: {type(error).__name__}: {error}") from error
        return _encoder.encode(known)


def concrete_events(base: type[Event] = Event) -> list[type[Event]]:
    """Every event class below `base` that names a topic and has no subclasses."""
    if subclasses := base.__subclasses__():
        return [cls for subclass in subclasses for cls in concrete_events(subclass)]
    return [base] if hasattr(base, "topic") else []
