"""Rows that the relays have gone past are sent once a person asks for it, by relays at work."""

from uuid import uuid4

import pytest
from django.core.management import CommandError

from relay.forwarder.forwarder import Forwarder
from relay.models import Intervention, Outbox
from tests.relay.events import BookLent
from tests.relay.forwarding import forward_all, forward_until, publish_committed
from tests.relay.operated import operate, operate_json

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]


def test_what_was_passed_by_is_sent_by_a_relay_at_work(forwarder: Forwarder) -> None:
    publish_committed(BookLent(book=uuid4()), BookLent(book=uuid4()))
    first, last = Outbox.objects.order_by("position")
    forward_all(forwarder)
    forward_until(forwarder, lambda: forwarder._find_low_mark() >= last.position)
    forwarder._renew()
    Outbox.objects.update(published_at=None)
    forward_all(forwarder, quiet=1.5)
    assert Outbox.objects.filter(published_at=None).count() == 2
    words = ("relay_rescan", "--from", str(first.position), "--reason", "verify names a row")
    assert operate_json(*words, "--dry-run") == {"position": first.position, "shards": 16}
    assert "the relays look again at rows above" in operate(*words)
    forward_all(forwarder, quiet=1.5)
    assert Outbox.objects.get(published_at=None).position == first.position
    assert [audit.action for audit in Intervention.objects.all()] == ["rescan"]


def test_without_a_reason_or_with_a_negative_position_it_is_refused() -> None:
    with pytest.raises(CommandError, match="a reason is needed"):
        operate("relay_rescan")
    with pytest.raises(CommandError, match="a position is 0 or more, not -1"):
        operate("relay_rescan", "--reason", "why not", "--from", "-1")
