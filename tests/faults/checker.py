"""The check after a run of the harness: sentences about lost, duplicate or reordered events, in Kafka or in effects."""

from collections import Counter, defaultdict
from uuid import UUID

from django.db import connection

from relay.operations import cluster


def find_wrong(topic: str) -> list[str]:
    """Return the differences between the outbox, the log of `topic` and the effects."""
    committed = read_committed(topic)
    return [*find_lost_or_inverted(committed, topic), *_check_effects(committed)]


def read_committed(topic: str) -> dict[str, dict[int, UUID]]:
    """Return the ids of committed events by key and sequence, without keys that have a refused row."""
    events: dict[str, dict[int, UUID]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "select key, sequence, event_id from relay_outbox where topic = %s and key not in"
            " (select key from relay_outbox where refused_reason is not null) order by position",
            [topic],
        )
        for key, sequence, event_id in cursor.fetchall():
            events[key][sequence] = event_id
    return events


def find_lost_or_inverted(committed: dict[str, dict[int, UUID]], topic: str) -> list[str]:
    """Return the lost and reordered events of `committed` in the log of `topic`."""
    log: dict[str, list[int]] = defaultdict(list)
    for delivery in cluster.read_log([topic]):
        log[delivery.key].append(delivery.sequence)
    wrong = []
    for key, events in committed.items():
        first = list(dict.fromkeys(log[key]))  # duplicates are allowed, as delivery is at least once
        if lost := sorted(events.keys() - set(first)):
            wrong.append(f"lost: {key} has {lost} in the outbox, never in the log")
        if first != sorted(first):
            wrong.append(f"inverted: the log of {key} has {first}")
    return wrong


def _check_effects(committed: dict[str, dict[int, UUID]]) -> list[str]:
    applied: dict[str, list[UUID]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute("select key, event_id from effect order by id")
        for key, event_id in cursor.fetchall():
            applied[key].append(event_id)
    wrong = []
    for key, events in committed.items():
        sequences = {event_id: sequence for sequence, event_id in events.items()}
        seen = [sequences[event_id] for event_id in applied[key]]
        if missing := sorted(events.keys() - set(seen)):
            wrong.append(f"not applied: {key} lacks the effects of {missing}")
        if twice := sorted(sequence for sequence, count in Counter(seen).items() if count > 1):
            wrong.append(f"applied twice: {key} has several effects of {twice}")
        first = list(dict.fromkeys(seen))
        if first != sorted(first):
            wrong.append(f"applied out of order: {key} has the effects {first}")
    return wrong
