"""Rows that the relays have missed are sent after a person requests a rescan, by running relays."""

from uuid import uuid4

import pytest
from django.core.management import CommandError

from relay.forwarder.forwarder import Forwarder
from relay.models import Intervention, Outbox
from tests.relay.events import BookLent
from tests.relay.forwarding import forward_all, forward_until, publish_committed
from tests.relay.operated import operate, operate_json

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]


def test_a_running_relay_sends_a_missed_row_after_a_rescan(forwarder: Forwarder) -> None:
    publish_committed(BookLent(book=uuid4()), BookLent(book=uuid4()))
    first, last = Outbox.objects.order_by("position")
    forward_all(forwarder)
    forward_until(forwarder, lambda: forwarder._find_low_watermark() >= last.position)
    forwarder._renew()
    Outbox.objects.update(published_at=None)
    forward_all(forwarder, quiet=1.5)
    assert Outbox.objects.filter(published_at=None).count() == 2
    words = ("relay_rescan", "--from", str(first.position), "--reason", "verify names a row")
    assert operate_json(*words, "--dry-run") == {"position": first.position, "shards": 16}
    assert "the relays scan all rows above" in operate(*words)
    forward_all(forwarder, quiet=1.5)
    assert Outbox.objects.get(published_at=None).position == first.position
    assert [audit.action for audit in Intervention.objects.all()] == ["rescan"]


def test_a_rescan_without_a_reason_or_with_a_negative_position_is_refused() -> None:
    with pytest.raises(CommandError, match="a reason is needed"):
        operate("relay_rescan")
    with pytest.raises(CommandError, match="the position must be 0 or more, not -1"):
        operate("relay_rescan", "--reason", "why not", "--from", "-1")
