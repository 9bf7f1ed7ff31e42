"""The permissions that the relay and each consumer need in a Kafka with an authorizer, and no others."""

from collections.abc import Mapping
from dataclasses import dataclass

from relay.conf import configuration
from relay.consumer.registry import all_consumers
from relay.operations import Refused
from relay.publisher.canary import CanarySent
from relay.publisher.topics import known_topics

RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Grant:
    """`user` may do `operation` (READ, WRITE or DESCRIBE) with the `kind` (TOPIC or GROUP) `name`.

    READ and WRITE include DESCRIBE.
    """

    user: str
    operation: str
    kind: str
    name: str


def list_grants(users: Mapping[str, str]) -> list[Grant]:
    """Return the grants of the relay, of all consumers and of all readers.

    The relay may write all topics. A consumer may read the topics of its events and of the canaries, as a member of its
    own group. A process of RELAY["READERS"] may read its topics and the committed offsets of all groups. `users` maps a
    process to its Kafka user. By default the two have the same name.

    :raises Refused: `users` contains an unknown process.
    """
    consumers = {consumer.name: consumer for consumer in all_consumers()}
    readers = configuration().readers
    if unknown := sorted(users.keys() - {RELAY, *consumers, *readers}):
        known = ", ".join([RELAY, *consumers, *readers])
        raise Refused(f"unknown process {', '.join(unknown)}: choose from {known}")
    grants = [Grant(users.get(RELAY, RELAY), "WRITE", "TOPIC", topic) for topic in known_topics()]
    for name, consumer in consumers.items():
        user = users.get(name, name)
        grants += [Grant(user, "READ", "TOPIC", topic) for topic in [*consumer.topics, CanarySent.topic]]
        grants.append(Grant(user, "READ", "GROUP", name))
    for name, topics in readers.items():
        grants += [Grant(users.get(name, name), "READ", "TOPIC", topic) for topic in topics]
        grants += [Grant(users.get(name, name), "DESCRIBE", "GROUP", group) for group in consumers]
    return grants
