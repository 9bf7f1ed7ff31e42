from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from relay.forwarder.forwarder import Forwarder
from relay.operations import cluster
from relay.publisher.topics import known_events, known_topics
from tests.relay.readers import Readers


@pytest.fixture(autouse=True)
def library_events(settings: Settings) -> Iterator[None]:
    """Set RELAY["EVENTS"] to tests.relay.events only."""
    settings.RELAY = {**settings.RELAY, "EVENTS": ["tests.relay.events"], "PARTITIONS": 3}
    known_events.cache_clear()
    yield
    known_events.cache_clear()


@pytest.fixture
def forwarder(library_events: None) -> Iterator[Forwarder]:
    """A relay whose rounds a test runs one by one."""
    cluster.create_topics(known_topics())
    relay = Forwarder()
    yield relay
    relay.stop()


@pytest.fixture
def readers() -> Readers:
    """A consumer of the library's events."""
    return Readers()
