"""Events: immutable structs with a topic, a key and a JSON encoding.

Every published version stays readable: the upcasters of an event class turn an older version into the current one.
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

#: A function that takes the JSON object of one version and returns the JSON object of the next version.
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

#: An index entry contains the key, the topic and a consumer's name; PostgreSQL limits an entry to 2,704 bytes.
MAX_KEY_CHARACTERS = 500

_encoder = msgspec.json.Encoder()


class _Stamp(msgspec.Struct, frozen=True):
    """The fields that every received event must contain: the defaults of an event class are for new events only."""

    event_id: object
    occurred_at: object


_stamp_decoder = msgspec.json.Decoder(_Stamp)
_decoder_of = cache(msgspec.json.Decoder)
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def unchanged(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value`. Use it as the upcaster of a version whose events the next version can read without changes."""
    return value


class UnableToDecodeEvent(ValueError):
    """The bytes are not a readable event of this type."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of every event. A concrete event is a class without subclasses.

    The JSON value contains the id and the time too, so that the body of an outbox row is a complete event. Readers
    ignore unknown fields, so a newer producer may add optional fields.
    """

    topic: ClassVar[str]
    version: ClassVar[int] = 1
    #: Upcasters by the version that each of them reads; the last one returns the current `version`.
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
        """Return the CloudEvents type of `version` (default: the current one), for example ``OrderPlaced.v1``."""
        return f"{cls.__name__}.v{version or cls.version}"

    @classmethod
    def readable_versions(cls) -> range:
        """Return the readable versions: the current one, and the older ones that upcasters can turn into it."""
        oldest = cls.version
        while oldest - 1 in cls.upcasters:
            oldest -= 1
        return range(oldest, cls.version + 1)

    def encode(self) -> bytes:
        """Return the JSON value as UTF-8 bytes."""
        return _encoder.encode(self)

    @classmethod
    def decode(cls, value: bytes | str, *, version: int | None = None) -> Self:
        """Return the event in the JSON `value` of `version` (default: the current one).

        :raises UnableToDecodeEvent: `value` is not JSON, or a field is missing or has a wrong type.
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
    """Return every subclass of `base` that has a topic and no subclasses."""
    if subclasses := base.__subclasses__():
        return [cls for subclass in subclasses for cls in concrete_events(subclass)]
    return [base] if hasattr(base, "topic") else []
