"""A published event stays readable forever, from Kafka and from the outbox."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from pytest_django.fixtures import Settings

from relay import Consumer, Event, UnableToDecodeEvent, UnknownEventType, publish
from relay.models import Outbox
from relay.publisher.topics import decode_event, known_events, known_topics
from tests.contract.parcels import ParcelPosted, Weight

STAMP = {"event_id": "01976f2e-6a00-7000-8000-00000000abcd", "occurred_at": "2026-05-04T12:34:56Z", "parcel": "P1"}
V1 = {**STAMP, "kilograms": 2}
V2 = {**STAMP, "weight": {"grams": 2500}}
V3 = {**STAMP, "weight": {"grams": 2500}, "fragile": True}


@pytest.fixture(autouse=True)
def parcels_only(settings: Settings) -> Iterator[None]:
    settings.RELAY = {**settings.RELAY, "EVENTS": ["tests.contract.parcels"]}
    known_events.cache_clear()
    yield
    known_events.cache_clear()


def read(version: int, value: Any, topic: str = "test.parcels") -> ParcelPosted:
    event = decode_event(f"ParcelPosted.v{version}", topic, json.dumps(value))
    assert isinstance(event, ParcelPosted)
    return event


def test_every_version_becomes_the_current_one() -> None:
    assert ParcelPosted.type_name() == "ParcelPosted.v3"
    assert (read(1, V1).weight, read(1, V1).fragile) == (Weight(grams=2000), False)
    assert (read(2, V2).weight, read(2, V2).fragile) == (Weight(grams=2500), False)
    assert (read(3, V3).weight, read(3, V3).fragile) == (Weight(grams=2500), True)
    assert len({str(read(version, value).event_id) for version, value in [(1, V1), (2, V2), (3, V3)]}) == 1


def test_old_versions_add_no_topic() -> None:
    assert known_topics() == ["relay.canary", "test.parcels"]
    assert set(known_events()) - {"CanarySent.v1"} == {"ParcelPosted.v1", "ParcelPosted.v2", "ParcelPosted.v3"}


def test_a_version_from_the_future_is_unknown_and_so_is_another_topic() -> None:
    with pytest.raises(UnknownEventType, match=r"'ParcelPosted\.v4' in test\.parcels"):
        read(4, V3)
    with pytest.raises(UnknownEventType, match=r"'ParcelPosted\.v1' in test\.letters"):
        read(1, V1, topic="test.letters")


def test_without_the_upcaster_in_between_older_versions_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParcelPosted, "upcasters", {1: ParcelPosted.upcasters[1]})
    known_events.cache_clear()
    assert set(known_events()) - {"CanarySent.v1"} == {"ParcelPosted.v3"}


@pytest.mark.parametrize(
    ("version", "value", "problem"),
    [
        (1, V2, r"ParcelPosted\.v1 can't become ParcelPosted\.v2: KeyError: 'kilograms'"),
        (1, {**V1, "kilograms": "two"}, r"not a ParcelPosted\.v1: Expected `int`.*grams"),
        (1, {**V1, "occurred_at": "2026-05-04T12:34:56"}, "occurred_at"),
        (1, {"parcel": "P1", "kilograms": 2}, "`event_id`"),
        (2, [], "Expected `object`"),
        (2, {**STAMP}, "`weight`"),
    ],
)
def test_an_invalid_event_of_an_old_version_is_refused_with_the_reason(version: int, value: Any, problem: str) -> None:
    with pytest.raises(UnableToDecodeEvent, match=problem):
        read(version, value)


@pytest.mark.django_db
def test_an_old_row_of_the_outbox_reaches_the_handlers_as_the_current_version() -> None:
    with transaction.atomic():
        publish(ParcelPosted(parcel="P1", weight=Weight(grams=1)))
    Outbox.objects.update(type="ParcelPosted.v1", body=json.dumps(V1))
    handled: list[ParcelPosted] = []
    consumer = Consumer("weighers")
    consumer.on(ParcelPosted)(handled.append)
    assert consumer.catch_up(("test.parcels", "P1"))
    assert [event.weight for event in handled] == [Weight(grams=2000)]


def test_two_events_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class ParcelPosted(Event, frozen=True):
        """An event with the same name."""

        topic: ClassVar[str] = "test.other"

    monkeypatch.setattr(ParcelPosted, "__module__", "relay.publisher.canary")
    known_events.cache_clear()
    with pytest.raises(
        ImproperlyConfigured, match=r"relay\.publisher\.canary and tests\.contract\.parcels both have a ParcelPosted"
    ):
        known_events()
    monkeypatch.undo()
