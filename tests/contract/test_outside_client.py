"""Readers that share no code with the relay understand the topics: librdkafka and the CloudEvents SDK."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import jsonschema
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, TopicPartition
from django.db import transaction
from msgspec.structs import replace
from pytest_django.fixtures import Settings

from relay import publish
from relay.conf import configuration
from relay.forwarder.forwarder import Forwarder
from relay.operations import cluster
from relay.publisher.topics import known_events
from shop import events
from tests.contract.test_events import EXAMPLES
from tests.contract.test_schemas import EVENTS, read_schema
from tests.relay.forwarding import forward_all

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]

TOPIC = "test.outside"
RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
LIFE = ["OrderPlaced.v4", "OrderConfirmed.v1", "OrderShipped.v1", "OrderDelivered.v1"]


@pytest.fixture
def forwarder(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Forwarder]:
    """A relay that sends the orders' events to a separate topic, because the shop's consumers may be running."""
    settings.RELAY = {**settings.RELAY, "PARTITIONS": 3}
    monkeypatch.setattr(events.OrderEvent, "topic", TOPIC)
    known_events.cache_clear()
    cluster.create_topics([TOPIC])
    relay = Forwarder()
    yield relay
    relay.stop()
    known_events.cache_clear()


def live(order_id: UUID) -> None:
    """Publish all events in the life of an order, each in a separate transaction."""
    for event_type in LIFE:
        with transaction.atomic():
            publish(replace(EXAMPLES[event_type], event_id=uuid4(), order_id=order_id))


#: librdkafka's names for the security options of kafka-python.
SECURITY = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanisms",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
    "ssl_cafile": "ssl.ca.location",
}


class Raw(NamedTuple):
    """A message as librdkafka returns it."""

    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def read_raw(topic: str) -> list[Raw]:
    """Return all messages of a topic, read without a consumer group."""
    options = configuration().client_options
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(configuration().bootstrap_servers),
            **{name: options[option] for option, name in SECURITY.items() if option in options},
            "group.id": f"outside-{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
        }
    )
    try:
        partitions = [TopicPartition(topic, p, 0) for p in consumer.list_topics(topic, 10).topics[topic].partitions]
        expected = sum(consumer.get_watermark_offsets(partition, 10)[1] for partition in partitions)
        consumer.assign(partitions)
        messages: list[Any] = []
        while len(messages) < expected:
            fetched = consumer.consume(expected - len(messages), timeout=10)
            assert fetched, f"only {len(messages)} of {expected} messages arrived"
            messages += fetched
        assert [message.error() for message in messages if message.error()] == []
        return [Raw(m.partition(), m.key(), m.value(), m.headers()) for m in messages]
    finally:
        consumer.close()


def as_cloudevent(message: Raw) -> Any:
    headers = dict(message.headers)
    assert len(headers) == len(message.headers), "a header is repeated"
    return from_kafka(KafkaMessage(headers=headers, key=message.key, value=message.value), JSONFormat())


def test_an_outside_client_sees_every_event_of_every_key_in_order(forwarder: Forwarder) -> None:
    orders = [uuid4() for _ in range(25)]
    for order_id in orders:
        live(order_id)
    forward_all(forwarder)
    seen: dict[str, list[Any]] = defaultdict(list)
    partitions: dict[str, set[int]] = defaultdict(set)
    for message in read_raw(TOPIC):
        event = as_cloudevent(message)
        seen[event.get_extension("partitionkey")].append(event)
        partitions[event.get_extension("partitionkey")].add(message.partition)
    assert {str(order_id) for order_id in orders} <= set(seen)
    for order_id in orders:
        received = seen[str(order_id)]
        assert [int(event.get_extension("sequence")) for event in received] == [1, 2, 3, 4]
        assert [event.get_type() for event in received] == LIFE
        assert len(partitions[str(order_id)]) == 1


def test_an_outside_client_understands_an_event(forwarder: Forwarder) -> None:
    order_id = uuid4()
    live(order_id)
    forward_all(forwarder)
    message = next(message for message in read_raw(TOPIC) if message.key == str(order_id).encode())
    event = as_cloudevent(message)
    value = event.get_data()
    assert (event.get_specversion(), event.get_source(), event.get_subject()) == ("1.0", "/shop", str(order_id))
    assert event.get_datacontenttype() == "application/json"
    assert event.get_id() == value["event_id"]
    assert event.get_time() == EXAMPLES["OrderPlaced.v4"].occurred_at
    jsonschema.Draft202012Validator(read_schema(event.get_type())).validate(value)
    assert value["total"] == 4460 and [line["sku"] for line in value["lines"]] == ["MUG-BLUE", "POT-1.5L"]
    assert re.fullmatch(RFC_3339, dict(message.headers)["ce_time"].decode())
    # The names of extensions consist of lower-case letters and digits, and librdkafka does not change headers.
    assert all(name.removeprefix("ce_").isalnum() for name, _ in message.headers if name.startswith("ce_"))


def test_the_headers_are_those_that_the_asyncapi_document_promises(forwarder: Forwarder) -> None:
    live(uuid4())
    forward_all(forwarder)
    document = json.loads((EVENTS.parent / "asyncapi.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(
        {**document["components"]["schemas"]["headers"], "additionalProperties": False},
        format_checker=jsonschema.FormatChecker(),
    )
    for message in read_raw(TOPIC):
        validator.validate({name: value.decode() for name, value in message.headers})
