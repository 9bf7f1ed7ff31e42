"""`until` is the time of the first event that is not applied; what can't be applied is counted next to it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from analytics.completeness import CREATION, Completeness, read_completeness
from analytics.handlers import consumer
from relay import publish
from relay.models import Cursor, Outbox
from relay.testing import deliver
from shop.activity.models import NotRecorded
from shop.activity.recording import record_activity
from shop.events import PaymentVoided, ProductViewed
from tests.analytics.conftest import paid, placed

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def complete() -> Completeness:
    return read_completeness(since=timezone.now() - HOUR)


def void(at: datetime, order_id: UUID) -> None:
    publish(paid(PaymentVoided, at, order_id, 1))


def test_until_is_the_first_unapplied_time_however_late_the_event_is() -> None:
    now = timezone.now()
    before = complete()
    assert not before.is_waiting and now - HOUR < before.until < timezone.now()
    ada, bob = uuid4(), uuid4()
    void(now, ada)
    assert complete().is_waiting and complete().until <= now
    void(now - 3 * HOUR, bob)  # behind the other one, and late
    void(now - 2 * HOUR, ada)
    assert complete().until == now - 3 * HOUR
    Outbox.objects.filter(key=str(bob)).update(refused_reason="too large")
    found = complete()
    assert (found.until, found.refused_keys) == (now - 2 * HOUR, 1)
    Outbox.objects.update(refused_reason=None)
    deliver(consumer)
    found = complete()
    assert (found.is_waiting, found.refused_keys, found.late) == (False, 0, 2)
    assert found.until > now - HOUR


def test_a_parked_key_is_counted_and_does_not_hold_the_time_back() -> None:
    now, order_id = timezone.now(), uuid4()
    void(now - HOUR, order_id)
    deliver(consumer)
    void(now - HOUR, order_id)
    void(now - HOUR, order_id)
    assert complete().until == now - HOUR
    Cursor.objects.update(parked_at=now)
    found = complete()
    assert (found.parked_keys, found.parked_events, found.is_waiting) == (1, 2, False)
    assert found.until > now - HOUR


def test_pruned_events_are_applied_events() -> None:
    now, order_id = timezone.now(), uuid4()
    void(now - HOUR, order_id)
    void(now, order_id)
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = 1 where key = %s", [str(order_id)])
        cursor.execute("delete from relay_outbox where sequence = 1")
    assert complete().until > now - HOUR


@pytest.mark.django_db(transaction=True)
def test_an_open_transaction_may_still_commit_an_earlier_event() -> None:
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("select pg_current_xact_id(), now()")
            began = cursor.fetchone()[1]
            assert complete().until <= began - CREATION
    finally:
        other.rollback()
        other.close()
    assert complete().until > began - CREATION


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no activity reach the outbox."""

    def fail(event: ProductViewed) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    with monkeypatch.context() as patch:
        patch.setattr("shop.activity.recording.publish_alone", fail)
        yield


def test_activity_that_was_not_recorded_is_counted(broken: None, monkeypatch: pytest.MonkeyPatch) -> None:
    event = ProductViewed(visitor=uuid4(), sku="MUG")
    record_activity(event)
    record_activity(event)
    (row,) = NotRecorded.objects.all()
    assert (row.type, row.count, row.minute) == (
        "ProductViewed.v1",
        2,
        event.occurred_at.replace(second=0, microsecond=0),
    )
    assert complete().not_recorded == 2
    # While the database can't take the number either, the process keeps it until the next event.
    with monkeypatch.context() as patch:
        patch.setattr("shop.activity.recording._ADD_LOST", "select 1 / 0")
        record_activity(event)
    assert complete().not_recorded == 2
    record_activity(event)
    assert complete().not_recorded == 4


def test_the_command_shows_the_figures_and_refuses_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    with transaction.atomic():
        publish(placed(timezone.now(), uuid4(), {"MUG": (1, 9)}))
    deliver(consumer)
    call_command("analytics", "complete")
    call_command("analytics", "checksum")
    call_command("analytics", "recount")
    said = capsys.readouterr().out
    assert "is waiting       False" in said
    assert "order_fact " in said
    assert "1 events give 1 order_fact, 1 order_line_fact" in said and "no difference found" in said
    for arguments, problem in [
        (["checksum", "--day", "yesterday"], "--day 'yesterday' is not a day: write it as 2026-05-04"),
        (["complete", "--days", "-1"], "--days -1 is negative"),
    ]:
        with pytest.raises(CommandError, match=problem):
            call_command("analytics", *arguments)


def test_the_admin_shows_the_facts_and_changes_nothing(admin_client: Client) -> None:
    with transaction.atomic():
        publish(placed(timezone.now(), uuid4(), {"MUG": (2, 61725)}))
    deliver(consumer)
    page = admin_client.get("/admin/analytics/orderfact/")
    assert page.status_code == 200 and "€1,234.50" in page.content.decode()
    assert admin_client.post("/admin/analytics/orderfact/add/", {}).status_code == 403
