"""Whole batches equal the batches of kafka-python, and are used only with the supported version."""

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kafka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from relay.forwarder import batches
from relay.forwarder.batches import Message, encode_records, find_obstacle

names = st.sampled_from(["ce_id", "ce_type", "traceparent", "ä" * 70])
headers = st.lists(st.tuples(names, st.binary(max_size=300)), max_size=4)


def read_back(messages: list[Message]) -> list[Message]:
    """Build a batch as `queue_batch` does, and read it with the library's reader, which verifies the checksum."""
    records = MemoryRecordsBuilder(2, 0, 1024 * 1024)
    builder = records._builder
    builder._buffer += encode_records(messages)
    builder._first_timestamp = builder._max_timestamp = 1_700_000_000_000
    builder._last_offset = len(messages) - 1
    builder._num_records = records._next_offset = len(messages)
    records.close()
    (batch,) = list(iter_batches(MemoryRecords(records.buffer())))
    assert batch.validate_crc()
    read = list(batch)
    assert [record.offset for record in read] == list(range(len(messages)))
    assert {record.timestamp for record in read} == {1_700_000_000_000}
    return [Message(record.key, record.value, record.headers) for record in read]


def iter_batches(records: MemoryRecords) -> list[Any]:
    batches = []
    while records.has_next():
        batches.append(records.next_batch())
    return batches


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=20_000), headers, headers), min_size=1, max_size=8)
)
def test_any_messages_are_read_back_unchanged(
    parts: list[tuple[bytes, bytes, list[tuple[str, bytes]], list[tuple[str, bytes]]]],
) -> None:
    messages = [Message(*part) for part in parts]
    for message, read in zip(messages, read_back(messages), strict=True):
        assert (read.key, read.value, list(read.own)) == (message.key, message.value, message.headers)


def test_shared_headers_come_first_in_each_record_and_change_with_the_sequence_object() -> None:
    first, second = [("ce_type", b"A.v1")], [("ce_type", b"B.v1"), ("ce_source", b"/b")]
    messages = [Message(b"k", b"{}", [("ce_id", b"%d" % n)], shared) for n, shared in enumerate([first, first, second])]
    assert [list(message.own) for message in read_back(messages)] == [
        [("ce_type", b"A.v1"), ("ce_id", b"0")],
        [("ce_type", b"A.v1"), ("ce_id", b"1")],
        [("ce_type", b"B.v1"), ("ce_source", b"/b"), ("ce_id", b"2")],
    ]


def test_the_largest_batch_keeps_its_lengths() -> None:
    message = Message(b"key", b"x" * 900_000, [])
    assert read_back([message, message])[1].value == message.value


def test_another_version_of_the_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "__version__", "3.1.0")
    assert find_obstacle(SimpleNamespace()) == "kafka-python is 3.1.0, not 3.0.12"


def test_pyproject_and_the_manual_allow_only_the_version_that_is_tested() -> None:
    root = Path(__file__).parents[3]
    tested = f"kafka-python[crc32c,lz4]=={batches._VERSION}"
    for project in (root / "pyproject.toml", root / "relay" / "pyproject.toml"):
        dependencies = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
        assert [line for line in dependencies if line.startswith("kafka-python")] == [tested]
    assert kafka.__version__ == batches._VERSION, "the tests run with another version"
    assert f'"{tested}"' in (root / "docs" / "relay.md").read_text("utf-8")


def test_a_missing_private_attribute_is_named() -> None:
    accumulator = SimpleNamespace(_batches={}, _tp_lock=None, _incomplete=None, _closed=False)
    assert (
        find_obstacle(SimpleNamespace(_accumulator=accumulator))
        == "kafka-python 3.0.12 lacks the private attribute config"
    )
