"""The AsyncAPI 3.0 document: topics, messages, keys and consumers.

The document contains no servers. Payloads are references to the schema files. AsyncAPI reads these as JSON Schema
draft 7, which supports everything that msgspec generates.
"""

import inspect
from typing import Any

from relay.conf import configuration
from relay.consumer.consumer import Consumer
from relay.consumer.registry import all_consumers
from relay.publisher.event import Event
from relay.publisher.topics import known_events

_KAFKA_BINDING = "0.5.0"
_REQUIRED_HEADERS = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "format": "uuid", "description": "The same as event_id in the value."},
    "ce_type": {"type": "string", "description": "Name and version of the event, for example OrderPlaced.v1."},
    "ce_source": {"type": "string", "format": "uri-reference"},
    "ce_subject": {"type": "string", "description": "The key."},
    "ce_time": {"type": "string", "format": "date-time", "description": "The same as occurred_at in the value."},
    "ce_sequence": {
        "type": "string",
        "pattern": "^[1-9][0-9]*$",
        "description": "1, 2, 3 … within the key, as a decimal number: compare numbers, not strings.",
    },
    "content-type": {"type": "string", "const": "application/json"},
}
_OTHER_HEADERS = {"traceparent": {"type": "string", "description": "W3C trace context of what caused the event."}}


def make_document() -> dict[str, Any]:
    """Return the document, with references to ``events/<type>.json``. It includes older readable versions."""
    types = dict(sorted(known_events().items()))
    topics = sorted({cls.topic for cls in types.values()})
    operations = {f"{topic}.publish": _describe_publishing(topic) for topic in topics}
    for consumer in sorted(all_consumers(), key=lambda consumer: consumer.name):
        for topic in sorted({cls.topic for cls in consumer.events}):
            operations[f"{topic}.{consumer.name}"] = _describe_consumer(consumer, topic)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Events of {configuration().source}",
            # Increases with each new event and each new version of an event.
            "version": f"{len(types)}.0.0",
            "description": (
                "CloudEvents 1.0 in Kafka's binary mode. Delivered at least once, in order within a key: a sequence "
                "number that was seen before is a duplicate. Fields that a reader does not know are to be ignored."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {topic: _describe_channel(topic) for topic in topics},
        "operations": operations,
        "components": {
            "messages": {name: _describe_message(name, cls) for name, cls in types.items()},
            "schemas": {
                "headers": {
                    "type": "object",
                    "required": list(_REQUIRED_HEADERS),
                    "properties": _REQUIRED_HEADERS | _OTHER_HEADERS,
                }
            },
        },
    }


def _describe_channel(topic: str) -> dict[str, Any]:
    types = {name: cls for name, cls in known_events().items() if cls.topic == topic}
    family = next(base for base in next(iter(types.values())).__mro__ if "topic" in vars(base))
    settings = configuration()
    return {
        "address": topic,
        "description": inspect.getdoc(family),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(types)},
        "bindings": _bind(
            topic=topic,
            partitions=settings.partitions,
            topicConfiguration={"cleanup.policy": ["delete"], "retention.ms": settings.retention_of(topic)},
        ),
    }


def _describe_message(event_type: str, cls: type[Event]) -> dict[str, Any]:
    return {
        "name": event_type,
        "title": cls.__name__,
        "summary": inspect.getdoc(cls),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": f"events/{event_type}.json"},
        "bindings": _bind(key={"type": "string", "description": inspect.getdoc(cls.key)}),
    }


def _describe_publishing(topic: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": "The relay publishes every event that was committed.",
    }


def _describe_consumer(consumer: Consumer, topic: str) -> dict[str, Any]:
    classes = [cls for cls in consumer.events if cls.topic == topic]
    handled = sorted(name for name, cls in known_events().items() if cls in classes)
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": f"{consumer.name} handles {', '.join(handled)}.",
        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"} for name in handled],
        "bindings": _bind(groupId={"type": "string", "const": consumer.name}),
    }


def _bind(**fields: Any) -> dict[str, Any]:
    return {"kafka": {**fields, "bindingVersion": _KAFKA_BINDING}}
