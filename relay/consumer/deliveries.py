"""Deliveries: parsed Kafka records. No other module of the consumer sees a record type of the Kafka client."""

from hashlib import sha256
from typing import Any, NamedTuple

from relay.publisher.event import MAX_KEY_CHARACTERS


class Delivery(NamedTuple):
    """A received record. `problem` is the reason why it can't be read, or ""."""

    topic: str
    partition: int
    offset: int
    key: str
    sequence: int
    type: str
    value: bytes
    problem: str = ""
    traceparent: str = ""
    #: The header ce_id, at most 64 characters.
    event_id: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of type and value: of everything that a consumer reads of an event."""
        return sha256(b"%b\n%b" % (self.type.encode(), self.value)).hexdigest()


class Place(NamedTuple):
    """The partition `number` of `topic`, which has `partitions` partitions."""

    topic: str
    number: int
    partitions: int


def read_record(record: Any) -> Delivery:
    """Parse `record`. Never raises: `problem` describes missing or malformed parts."""
    headers = dict(record.headers)
    event_type, digits = headers.get("ce_type") or b"", headers.get("ce_sequence") or b""
    sequence = _read_sequence(digits)
    key = (record.key or b"").decode(errors="backslashreplace").replace("\0", "\\0")
    if too_long := len(key) > MAX_KEY_CHARACTERS:
        key = f"{key[:100]}... sha256:{sha256(record.key).hexdigest()}"
    readable = record.key is not None and event_type and sequence and not too_long
    return Delivery(
        record.topic,
        record.partition,
        record.offset,
        key,
        sequence if readable else 0,
        event_type.decode(errors="backslashreplace"),
        record.value or b"",
        "" if readable else _find_problem(record, event_type, digits, too_long=too_long),
        (headers.get("traceparent") or b"").decode(errors="replace"),
        (headers.get("ce_id") or b"").decode(errors="backslashreplace").replace("\0", "\\0")[:64],
    )


def _read_sequence(digits: bytes) -> int:
    """Return a positive bigint, or 0. The length check comes first, because int() raises for thousands of digits."""
    digits = digits.lstrip(b"0")
    number = int(digits) if digits.isdigit() and len(digits) < 20 else 0
    return number if number < 2**63 else 0


def _find_problem(record: Any, event_type: bytes, digits: bytes, *, too_long: bool) -> str:
    problems = []
    if record.key is None:
        problems.append("it has no key")
    if too_long:
        problems.append(f"its key has more than {MAX_KEY_CHARACTERS} characters")
    if not event_type:
        problems.append("it has no ce_type header")
    if not _read_sequence(digits):
        problems.append(f"its ce_sequence header is {digits[:40]!r}, not a positive number")
    return f"unreadable message at {record.topic}[{record.partition}]@{record.offset}: {', '.join(problems)}"
