"""10,000 parked keys of three causes: the page with their groups, and redrives with the bug still in and after the fix.

Prints the page's time; run it with `LONG=all … -s`.
"""

import time

import pytest
from django.db import connection
from django.test import Client

from relay.models import Cursor
from relay.operations.parked import Selection, list_groups
from shop.control.models import Redrive
from tests.control.mending import Buyers, buyers, operator, publish_stock
from tests.control.parked.test_redrives import act, fail, run
from tests.relay.operated import mark_published

__all__ = ["buyers", "operator"]
pytestmark = [pytest.mark.django_db, pytest.mark.long]

PARK = """
insert into relay_cursor (consumer, topic, key, last, parked_at, reason, attempts)
select 'buyers', topic, key, 0, clock_timestamp(), (array[
    'ZeroDivisionError: no price for piece ' || position, 'KeyError: ''shelf ' || position || '''',
    'ValueError: bad total ' || position || ' of order ' || event_id])[1 + position % 3], 4
from relay_outbox where type = 'StockLow.v1'
"""


def test_ten_thousand_keys_of_three_causes(operator: Client, buyers: Buyers) -> None:
    publish_stock(*(f"SKU-{n:05}" for n in range(10_000)))
    mark_published()
    with connection.cursor() as cursor:
        cursor.execute(PARK)
        cursor.execute("analyze relay_cursor")
    times = []
    for _ in range(5):
        began = time.monotonic()
        page = operator.get("/control/parked/").content.decode()
        times.append(1000 * (time.monotonic() - began))
    assert "10,000 parked keys of 3 causes" in page
    groups = list_groups(Selection())
    assert sorted(group.keys for group in groups) == [3333, 3333, 3334]
    print(f"page with 3 groups of 10,000 keys: {min(times):.0f} to {max(times):.0f} ms")
    buyers.bug = fail
    for group in groups:
        assert run(buyers, start(operator, group.fingerprint)).state == "stopped"
    assert (len(buyers.tried), buyers.tried.total()) == (3, 3)
    buyers.bug = lambda event: None
    for group in list_groups(Selection()):
        assert run(buyers, start(operator, group.fingerprint)).state == "done"
    assert (len(buyers.applied), set(buyers.applied.values())) == (10_000, {1})
    assert not Cursor.objects.exclude(parked_at=None).exists()


def start(client: Client, fingerprint: str) -> Redrive:
    until = "2999-01-01T00:00:00+00:00"
    client.post(f"/control/parked/causes/{fingerprint}/choose/", {"until": until})
    redrive = Redrive.objects.latest("pk")
    assert act(client, redrive, "start", reason="measured") == 302
    return redrive
