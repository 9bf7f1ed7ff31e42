"""The moments of an order's events: committed, in Kafka, applied by each consumer, repeated."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from relay.consumer.consumer import Consumer
from relay.consumer.registry import all_consumers
from relay.models import Cursor, Outbox
from shop.control.recorder.effects import describe_effect, name_event
from shop.control.recorder.facts import Facts
from shop.control.recorder.moments import KAFKA, OUTBOX, Moment


def list_events(facts: Facts) -> Iterator[Moment]:
    """Yield the moments of each event: its commit, its record in Kafka, and its application by each consumer."""
    causes = {step.event_id: step.event for step in facts.steps}
    for number, event in enumerate(facts.events, 1):
        name, cause = name_event(event), causes.get(event.event_id, "")
        because = f" ({cause})" if cause and event.topic == "shop.orders" and cause != name else ""
        yield Moment(OUTBOX, f"{name} committed{because}", event.created_at, number)
        yield describe_record(event, number)
        for consumer in all_consumers():
            if name in {kind.__name__ for kind in consumer.events} and event.topic in consumer.topics:
                yield describe_application(facts, consumer, event, number)


def describe_record(event: Outbox, number: int) -> Moment:
    """Return the moment at which the relay noted that Kafka has the event."""
    name = name_event(event)
    if event.published_at:
        return Moment(KAFKA, f"{name} is in Kafka", event.published_at, number)
    if event.refused_reason is not None:
        place = f"{reverse('admin:relay_outbox_changelist')}?q={event.key}"
        text = f"Kafka refused {name}: {event.refused_reason}"
        return Moment(KAFKA, text, None, number, "stopped", place=place, place_name="Outbox rows")
    return Moment(KAFKA, f"{name} waits for the relay", None, number, "waiting")


def describe_application(facts: Facts, consumer: Consumer, event: Outbox, number: int) -> Moment:
    """Return the moment at which a consumer applied an event, or the reason why it has not yet."""
    cursor = facts.cursors.get((consumer.name, event.topic))
    moment = Moment(consumer.name, "", None, number)
    if cursor is None or cursor.last < event.sequence:
        return describe_wait(facts, moment, cursor, event)
    times = cursor.applied_at
    nth = len(times) - 1 - (cursor.last - event.sequence)
    at = times[nth] if nth >= 0 else None
    if nth >= 0 and at is None:
        return replace(moment, state="skipped", text=f"{name_event(event)} was skipped by a person")
    text = describe_effect(facts, consumer.name, event)
    # A consumer of before the migration moves the cursor without a time: a time before the commit is of another event.
    if at and at >= event.created_at:
        return replace(moment, at=at, text=text)
    return replace(moment, at=find_step_time(facts, consumer.name, event), exact=False, text=text)


def find_step_time(facts: Facts, consumer: str, event: Outbox) -> datetime | None:
    """Return the time of an effect of an event whose cursor has no time any more, or None if no effect has one."""
    effects: dict[str, Any] = {
        "orders": (row.at for row in facts.steps if row.event_id == event.event_id),
        "inventory": (row.created_at for row in facts.movements if row.event_id == event.event_id),
        "notifications": (row.created_at for row in facts.messages if row.event_id == event.event_id),
        "payments": (row.created_at for row in [facts.payment] if row and row.event_id == event.event_id),
    }
    return next(iter(effects.get(consumer, ())), None)


def describe_wait(facts: Facts, moment: Moment, cursor: Cursor | None, event: Outbox) -> Moment:
    """Return `moment` with the reason why the consumer has not applied the event."""
    name, consumer, last = name_event(event), moment.lane, cursor.last if cursor else 0
    if cursor and cursor.parked_at:
        where = urlencode({"consumer": consumer, "topic": event.topic, "key": event.key})
        place = f"{reverse('control:parked-key')}?{where}"
        parked = replace(moment, state="stopped", place=place, place_name="Parked key")
        if event.sequence > last + 1:
            return replace(parked, text=f"{name} waits behind a parked event")
        retry = f"the next try is at {cursor.next_try_at:%H:%M:%S}" if cursor.next_try_at else "it waits for a person"
        tries = f"{cursor.attempts} failed tr{'y' if cursor.attempts == 1 else 'ies'}"
        return replace(parked, text=f"{name} is parked after {tries}: {cursor.reason} ({retry})")
    if pause := facts.pauses.get(consumer):
        text = f"{name} waits: paused since {pause.paused_at:%H:%M:%S} by {pause.paused_by}: {pause.reason}"
        place = reverse("control:consumer", args=[consumer])
        return replace(moment, state="stopped", text=text, place=place, place_name="Consumer")
    if event.published_at is None:
        return replace(moment, state="waiting", text=f"{name} waits for Kafka")
    return replace(moment, state="waiting", text=f"{name} is on its way to {consumer}")


def list_repeats(facts: Facts) -> Iterator[Moment]:
    """Yield a moment for each consumer and topic that dropped repeats of the order's events."""
    for (consumer, topic), cursor in sorted(facts.cursors.items()):
        if cursor.repeats:
            times = "once" if cursor.repeats == 1 else f"{cursor.repeats} times, at last"
            text = f"repeat dropped {times} ({topic}): it did nothing"
            yield Moment(consumer, text, cursor.repeated_at)
    for record in facts.foreign:
        text = f"foreign record of {record.type} #{record.sequence} in Kafka: never applied"
        yield Moment(KAFKA, text, record.found_at, state="done" if record.explained_at else "stopped")


def list_forgotten(facts: Facts) -> Iterator[Moment]:
    """Yield the saga's steps whose events are pruned from the outbox. Their times are by the clock of a process."""
    if facts.pruned:
        known = {event.event_id for event in facts.events}
        for step in facts.steps:
            if step.event_id not in known:
                change = f"{step.before} → {step.after}" if step.before else step.after
                yield Moment("orders", f"{step.event}: {change} (event pruned)", step.at, exact=False)
