"""The AsyncAPI document is consistent, and meets the requirements of AsyncAPI 3.0 for the parts that it uses."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from relay.consumer.registry import all_consumers
from relay.publisher.canary import CanarySent
from relay.publisher.topics import known_events, known_topics
from tests.contract.test_events import EXAMPLES

PATH = Path(__file__).parents[2] / "docs" / "asyncapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(PATH.read_text("utf-8"))
    return read


def follow(document: dict[str, Any], reference: dict[str, str]) -> Any:
    """Return the target of a reference, in `document` or in a file relative to it."""
    (pointer,) = reference.values()
    path, _, inside = pointer.partition("#")
    found: Any = json.loads((PATH.parent / path).read_text("utf-8")) if path else document
    for step in filter(None, inside.split("/")):
        found = found[step]
    return found


def find_references(part: Any) -> list[dict[str, str]]:
    if isinstance(part, dict):
        return [part] if "$ref" in part else [found for value in part.values() for found in find_references(value)]
    return [found for value in part for found in find_references(value)] if isinstance(part, list) else []


def test_it_has_the_parts_that_the_specification_demands_and_no_address(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.0\.\d+", document["asyncapi"])
    assert set(document) <= {"asyncapi", "id", "info", "defaultContentType", "channels", "operations", "components"}
    assert document["info"]["title"] and document["info"]["version"]
    for channel in document["channels"].values():
        assert channel["messages"] and channel["description"]
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"} and operation["channel"]
    for kind in document["components"].values():
        assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in kind)
    assert "localhost" not in PATH.read_text("utf-8")


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = find_references(document)
    assert len(references) > 50
    assert all(follow(document, reference) for reference in references)


def test_an_operation_names_messages_of_its_own_channel(document: dict[str, Any]) -> None:
    for operation in document["operations"].values():
        channel = follow(document, operation["channel"])
        for message in operation.get("messages", []):
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
            assert message["$ref"].rpartition("/")[2] in channel["messages"]


def test_every_topic_and_every_event_has_its_place(document: dict[str, Any]) -> None:
    assert [channel["address"] for channel in document["channels"].values()] == known_topics()
    for topic, channel in document["channels"].items():
        assert set(channel["messages"]) == {name for name, cls in known_events().items() if cls.topic == topic}
        kafka = channel["bindings"]["kafka"]
        assert (kafka["topic"], kafka["partitions"]) == (topic, 12)
    retention = {
        t: c["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] for t, c in document["channels"].items()
    }
    assert retention["shop.orders"] == -1
    assert retention["shop.activity"] == 7 * 24 * 3600 * 1000
    assert CanarySent.topic in retention


def test_it_lists_the_consumers_of_each_topic(document: dict[str, Any]) -> None:
    receiving = {name: op for name, op in document["operations"].items() if op["action"] == "receive"}
    assert receiving.keys() == {f"{topic}.{c.name}" for c in all_consumers() for topic in {e.topic for e in c.events}}
    operation = receiving["shop.orders.inventory"]
    handled = {message["$ref"].rpartition("/")[2] for message in operation["messages"]}
    assert {"OrderPlaced.v2", "OrderPlaced.v3", "OrderPlaced.v4", "OrderCancelled.v1"} <= handled
    assert operation["bindings"]["kafka"]["groupId"]["const"] == "inventory"


def test_the_payload_of_a_message_is_the_schema_of_its_event(document: dict[str, Any]) -> None:
    for name, event in EXAMPLES.items():
        payload = follow(document, document["components"]["messages"][name]["payload"])
        # Tools read a payload as JSON Schema draft 7, the default of AsyncAPI.
        jsonschema.Draft7Validator(payload).validate(json.loads(event.encode()))
