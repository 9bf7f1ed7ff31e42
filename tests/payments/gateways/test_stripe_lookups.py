"""A lookup at Stripe ends within the limits of one gateway call, and continues later at its cursor."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from payments.gateways import stripe_requests
from payments.gateways.protocol import GatewayUnavailable, SearchUnfinished
from payments.gateways.stripe import StripeGateway
from payments.models import Attempt, Payment
from payments.tasks import settle_payments
from tests.payments.dying import let_claims_expire

gateway = StripeGateway()


def add_intent(stub: Any, key: str, age: float = 0) -> None:
    """Store an authorized intent that was created `age` seconds ago."""
    stub.made[key] = {
        **{"id": f"pi_{len(stub.made)}", "object": "payment_intent", "status": "requires_capture", "amount": 500},
        **{"currency": "eur", "created": stub.now() - int(age), "metadata": {"key": key}},
    }


def make_old_id(age: timedelta) -> UUID:
    return UUID(int=int((datetime.now(UTC) - age).timestamp() * 1000) << 80)


def count_lists(stub: Any) -> int:
    return sum(method == "GET" for method, _, _ in stub.asked)


@pytest.fixture
def busy(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the stub with nine intents of others, one for each page of a list. A lookup reads four pages."""
    monkeypatch.setattr(stripe_requests, "LOOKUP_PAGES", 4)
    stub.page = 1
    for age in range(9):
        add_intent(stub, f"{uuid7()}:authorize", age)
    return stub


def test_a_lookup_reads_a_limited_number_of_pages_and_continues_after_them(busy: Any) -> None:
    key = f"{uuid7()}:authorize"
    add_intent(busy, key, 20)
    with pytest.raises(SearchUnfinished) as first:
        gateway.lookup(key)
    assert count_lists(busy) == 4
    with pytest.raises(SearchUnfinished) as second:
        gateway.lookup(key, cursor=first.value.cursor)
    answer = gateway.lookup(key, cursor=second.value.cursor)
    assert answer and answer.reference == "pi_9"
    assert count_lists(busy) == 10


def test_only_the_intents_of_the_attempts_time_are_read(busy: Any) -> None:
    """A lookup about an old payment once read all newer intents."""
    key = f"{make_old_id(timedelta(hours=30))}:authorize"
    sent_at = datetime.now(UTC) - timedelta(hours=29)
    assert gateway.lookup(key, sent_at=sent_at) is None
    assert count_lists(busy) == 1
    add_intent(busy, key, 30 * 3600 - 5)
    assert gateway.lookup(key, sent_at=sent_at) is not None
    assert count_lists(busy) == 2


@pytest.mark.django_db
def test_an_unfinished_lookup_of_a_payment_continues_at_its_cursor(busy: Any, place: Any) -> None:
    busy.disturb = staticmethod(lambda number: 500 if number == 1 else None)
    payment: Payment = place("pm_card_visa", amount=500)
    settle_payments()
    busy.made[f"{payment.pk}:authorize"]["created"] -= 60
    let_claims_expire()
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, count_lists(busy)) == ("authorized", 10)
    assert [method for method, _, _ in busy.asked].count("POST") == 1
    assert Attempt.objects.get().calls == 2, "the steps of one lookup count once"


@pytest.mark.django_db
def test_a_cursor_survives_a_failure(busy: Any, place: Any) -> None:
    busy.disturb = staticmethod(lambda number: 500 if number in (1, 6) else None)
    payment: Payment = place("pm_card_visa", amount=500)
    settle_payments()
    busy.made[f"{payment.pk}:authorize"]["created"] -= 60
    for _ in range(2):
        let_claims_expire()
        settle_payments()
    payment.refresh_from_db()
    assert (payment.status, count_lists(busy)) == ("authorized", 11)


def test_a_slow_list_ends_at_the_deadline_of_the_call(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_requests, "LOOKUP_PAGES", 1000)
    monkeypatch.setattr(stripe_requests, "CALL_SECONDS", 0.5)
    busy.disturb = staticmethod(lambda number: time.sleep(0.2))
    with pytest.raises(SearchUnfinished):
        gateway.lookup(f"{uuid7()}:authorize")
    assert 1 <= count_lists(busy) < 10


def test_a_refused_call_and_its_second_request_share_one_deadline(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal the client reads the intent. Both requests together must end within the promise of a call."""
    monkeypatch.setattr(stripe_requests, "CALL_SECONDS", 1.2)
    stub.refuses["k:void"] = 400
    stub.disturb = staticmethod(lambda number: time.sleep(0.8))
    add_intent(stub, f"{uuid7()}:authorize")
    with pytest.raises(GatewayUnavailable):
        gateway.void("k:void", "pi_0")
    assert [method for method, _, _ in stub.asked] == ["POST", "GET"]


def test_an_answer_in_slow_chunks_ends_at_the_deadline(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk arrives within the read timeout, so only a deadline ends the request."""
    monkeypatch.setattr(stripe_requests, "CALL_SECONDS", 0.5)
    stub.drips = True
    with pytest.raises(GatewayUnavailable, match="is incomplete at the deadline"):
        gateway.authorize(f"{uuid7()}:authorize", "pm_card_visa", 500, "EUR")
