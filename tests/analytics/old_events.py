"""Events of old versions in the outbox: the golden files, each with an order of its own."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection, transaction

from relay import Event, publish
from shop import events
from tests.analytics.conftest import paid, placed
from tests.analytics.replicas import publish_all
from tests.analytics.traffic import Traffic

GOLDEN = Path(__file__).resolve().parents[1] / "contract" / "golden"
_REPLACE = "update relay_outbox set type = %s, body = %s where event_id = %s"


def publish_old_events() -> None:
    """Publish OrderPlaced of version 1 to 3 and PaymentRefunded of version 1."""
    at = datetime(2026, 5, 4, 12, 34, 56, 789012, tzinfo=UTC)
    for name in ("OrderPlaced.v1", "OrderPlaced.v2", "OrderPlaced.v3"):
        publish_as(name, placed(at, uuid.uuid4(), {"MUG": (1, 100)}))
    publish_as("PaymentRefunded.v1", paid(events.PaymentRefunded, at, uuid.uuid4(), 1, left=0))


def publish_as(name: str, event: Event) -> None:
    """Publish `event` with the type `name` and the body of its golden file."""
    body = json.loads((GOLDEN / f"{name}.json").read_text()) | {
        "event_id": str(event.event_id),
        "order_id": str(getattr(event, "order_id")),  # noqa: B009 - the class Event has none
    }
    with transaction.atomic(), connection.cursor() as cursor:
        publish(event)
        cursor.execute(_REPLACE, [name, json.dumps(body), event.event_id])


def publish_traffic(seeds: range, visits: int) -> None:
    """Publish believable traffic of each of `seeds`, in one transaction per seed."""
    for seed in seeds:
        publish_all(Traffic(seed, visits=visits).events)
