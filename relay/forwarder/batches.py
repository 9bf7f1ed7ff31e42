"""Whole record batches in kafka-python's accumulator: one future per batch, and a quarter of the CPU time per record.

This module uses private parts of the library, so it supports exactly one version; the fallback is `send()`. Sequence
numbers, compression, checksums and retries remain the library's own code.
"""

import time
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import kafka
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

_VERSION = "3.0.12"
_MESSAGE_FORMAT = 2


class Message(NamedTuple):
    """A record to send, with its own headers and the headers that it shares with other records.

    `shared` should be the same object in consecutive messages: it is then encoded only once.
    """

    key: bytes
    value: bytes
    own: Sequence[tuple[str, bytes]]
    shared: Sequence[tuple[str, bytes]] = ()

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """All headers: the CloudEvents attributes in binary mode."""
        return [*self.shared, *self.own]


class _WholeBatch(ProducerBatch):  # type: ignore[misc]
    """A batch that fails if the broker finds it too large. The library would split it and lose the future."""

    record_count = 1


def find_obstacle(producer: Any) -> str:
    """Return the reason why whole batches can't be used with `producer`, or "" if they can."""
    if kafka.__version__ != _VERSION:
        return f"kafka-python is {kafka.__version__}, not {_VERSION}"
    accumulator = getattr(producer, "_accumulator", None)
    builder = getattr(MemoryRecordsBuilder(_MESSAGE_FORMAT, 0, 1), "_builder", None)
    for owner, names in [
        (accumulator, ["_batches", "_tp_lock", "_incomplete", "_closed", "config"]),
        (builder, ["_buffer", "_first_timestamp", "_max_timestamp", "_last_offset", "_num_records"]),
        (producer, ["_sender"]),
    ]:
        missing = [name for name in names if not hasattr(owner, name)]
        if missing:
            return f"kafka-python {_VERSION} lacks the private attribute {missing[0]}"
    return ""


def queue_batch(producer: Any, topic: str, partition: int, messages: Sequence[Message]) -> Any:
    """Queue one batch and return its future. Call `send_queued` afterwards.

    The value of the future is (offset, timestamp, function that returns the error).

    :raises RuntimeError: the producer is closed.
    """
    accumulator = producer._accumulator
    records = MemoryRecordsBuilder(
        _MESSAGE_FORMAT, accumulator.config["compression_attrs"], accumulator.config["batch_size"]
    )
    builder = records._builder
    builder._buffer += encode_records(messages)
    builder._first_timestamp = builder._max_timestamp = int(time.time() * 1000)
    builder._last_offset = len(messages) - 1
    builder._num_records = records._next_offset = len(messages)
    where = TopicPartition(topic, partition)
    batch = _WholeBatch(where, records)
    with accumulator._tp_lock(where):
        if accumulator._closed:
            raise RuntimeError("the producer is closed")
        accumulator._batches[where].append(batch)
        accumulator._incomplete.add(batch)
    return batch.produce_future


def send_queued(producer: Any) -> None:
    """Wake the library's sender, which sends the queued batches of one broker in one request."""
    producer._sender.wakeup()


def encode_records(messages: Sequence[Message]) -> bytes:
    """Return `messages` as records of Kafka's message format 2, with a timestamp delta of 0.

    https://kafka.apache.org/documentation/#record
    """
    parts: list[bytes] = []
    last, prefix = None, b""
    for offset, (key, value, own, shared) in enumerate(messages):
        if shared is not last:
            last, prefix = shared, _encode_headers(shared)
        record = [b"\0\0", _varint(offset), _varint(len(key)), key, _varint(len(value)), value]
        record += (_varint(len(shared) + len(own)), prefix, _encode_headers(own))
        encoded = b"".join(record)
        parts += (_varint(len(encoded)), encoded)
    return b"".join(parts)


def _encode_headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    parts: list[bytes] = []
    for name, content in headers:
        parts += (_encode_header_name(name), _varint(len(content)), content)
    return b"".join(parts)


@cache
def _encode_header_name(name: str) -> bytes:
    return _varint(len(name.encode())) + name.encode()


@lru_cache(maxsize=65536)
def _varint(number: int) -> bytes:
    """Return a number >= 0 as a zigzag varint (base 128)."""
    number <<= 1
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(0x80 | number & 0x7F)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
