"""A batch that waits for a switch is written to the generation that readers read afterwards."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection, transaction

from analytics.facts.consumer import add_events
from analytics.generation import FIRST, SCHEMAS, Generation, create_tables, drop_tables, lock_current
from analytics.models import GenerationChoice
from shop.events import ProductViewed
from tests.analytics.conftest import read_table

pytestmark = pytest.mark.django_db(transaction=True)
_WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


@pytest.fixture
def second() -> Iterator[Generation]:
    generation = Generation("", SCHEMAS[1])
    create_tables(generation)
    yield generation
    drop_tables(generation)


def test_a_batch_that_waits_for_a_switch_is_written_to_the_new_generation(second: Generation) -> None:
    GenerationChoice.objects.create(other=second.schema)

    def write() -> None:
        with transaction.atomic():
            add_events(None, [ProductViewed(occurred_at=datetime.now(UTC), visitor=uuid4(), sku="MUG")])
        connection.close()

    writer = threading.Thread(target=write)
    with transaction.atomic(), connection.cursor() as cursor:
        lock_current(cursor)
        GenerationChoice.objects.update(schema=second.schema, other=FIRST.schema)
        writer.start()
        deadline, waiting = time.monotonic() + 30, 0
        while not waiting:
            assert time.monotonic() < deadline, "the batch does not wait for the switch"
            cursor.execute(_WAITING)
            (waiting,) = cursor.fetchone()
            time.sleep(0.01)
    writer.join()
    assert read_table("activity", "sku") == []
    assert read_table("activity", "sku", second.schema) == [("MUG",)]
    assert read_table("minute", "kind, count", second.schema) == [("viewed", 1)]
