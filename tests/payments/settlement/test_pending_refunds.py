"""A pending refund, accepted but not decided by the gateway, is looked up until its outcome is known."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from payments.gateways.protocol import GatewayAnswer, GatewayHint, GatewayUnavailable
from payments.gateways.sandbox import SandboxGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Payment, Refund
from payments.reconciliation.cases import reconcile
from payments.reconciliation.comparison import find_money_in_flight
from payments.refunds import NotRefundable, refund_part
from payments.tasks import settle_payments
from payments.webhooks import take_hint
from tests.payments.dying import let_claims_expire

pytestmark = pytest.mark.django_db


class Bank:
    """A bank that decides about refunds. `decisions` maps idempotency keys to decisions; other refunds are pending."""

    def __init__(self) -> None:
        self.decisions: dict[str, Any] = {}
        self.asked: list[str] = []

    def answer(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Return the gateway's current answer about a refund."""
        outcome, reason = self.decisions.get(key.partition(":")[2], ("pending", ""))
        return GatewayAnswer(outcome=outcome, reference=reference, amount=amount, currency="EUR", reason=reason)


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Return a slow bank that decides about the refunds of the sandbox gateway."""
    bank, taken = Bank(), dict[str, int]()

    def refund(gateway: SandboxGateway, key: str, reference: str, amount: int) -> GatewayAnswer:
        assert key not in taken, "sent twice"
        taken[key] = amount
        bank.asked.append(f"send {key.partition(':')[2]}")
        return bank.answer(key, reference, amount)

    def lookup(gateway: SandboxGateway, key: str, reference: str = "", **trace: Any) -> GatewayAnswer | None:
        bank.asked.append(f"look up {key.partition(':')[2]}")
        return bank.answer(key, reference, taken[key])

    monkeypatch.setattr(SandboxGateway, "refund", refund)
    monkeypatch.setattr(SandboxGateway, "lookup", lookup)
    return bank


def give_part(payment: Payment, amount: int) -> Refund:
    with transaction.atomic():
        locked = Payment.objects.select_for_update().get(pk=payment.pk)
        return refund_part(locked, amount, reason="scratched", requested_by="ann")


def read_pause(payment: Payment) -> int:
    """Return the rounded number of seconds until the payment is due."""
    waiting = Payment.objects.annotate(now=Now()).get(pk=payment.pk)
    return round((waiting.due_at - waiting.now).total_seconds())


def test_a_pending_refund_is_done_only_after_a_lookup(captured: Payment, bank: Bank, said: Any, cancelled: Any) -> None:
    follow_orders([cancelled(captured)])
    settle_payments()
    captured.refresh_from_db()
    refund = Refund.objects.get()
    assert (captured.status, captured.wanted, captured.refunded_amount) == ("captured", "refund", 0)
    assert (refund.status, refund.finished_at) == ("pending", None)
    assert Attempt.objects.get(refund=refund).finished_at is None
    assert "PaymentRefunded" not in " ".join(said(captured.order_id))
    assert find_money_in_flight() == 1
    bank.decisions["refund:1"] = ("approved", "")
    let_claims_expire()
    settle_payments()
    captured.refresh_from_db()
    assert (captured.status, captured.wanted, captured.refunded_amount) == ("refunded", "nothing", 5000)
    assert Refund.objects.get().status == "done"
    assert said(captured.order_id)[-1].startswith("PaymentRefunded.")
    assert bank.asked == ["send refund:1", "look up refund:1"]


def test_a_pending_refund_that_fails_is_declined_opens_a_case_and_can_be_refunded_again(
    captured: Payment, bank: Bank, said: Any
) -> None:
    give_part(captured, 5000)
    settle_payments()
    with pytest.raises(NotRefundable, match="0 of the captured 5000 is left"):
        give_part(captured, 1)
    bank.decisions["refund:1"] = ("declined", "lost_or_stolen_card")
    let_claims_expire()
    settle_payments()
    captured.refresh_from_db()
    assert (captured.status, captured.wanted, captured.refunded_amount) == ("captured", "nothing", 0)
    assert "PaymentRefunded" not in " ".join(said(captured.order_id))
    [case] = [case for case in reconcile().open if case.kind == "refund_declined"]
    assert case.description == "refund 1 of 5000 EUR was declined: lost_or_stolen_card"
    assert give_part(captured, 5000).number == 2


def test_the_pauses_between_lookups_grow_to_an_hour(captured: Payment, bank: Bank) -> None:
    give_part(captured, 100)
    pauses = []
    for _ in range(13):
        let_claims_expire()
        settle_payments()
        pauses.append(read_pause(captured))
        settle_payments()  # not due
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
    assert len(bank.asked) == 13


def test_a_pending_refund_delays_no_other_refund(captured: Payment, bank: Bank, said: Any) -> None:
    give_part(captured, 1000)
    settle_payments()
    bank.decisions["refund:2"] = ("approved", "")
    give_part(captured, 200)
    settle_payments()
    captured.refresh_from_db()
    assert (captured.wanted, captured.refunded_amount) == ("refund", 200)
    assert list(Refund.objects.values_list("number", "status")) == [(1, "pending"), (2, "done")]
    assert read_pause(captured) in (1, 2)
    bank.decisions["refund:1"] = ("approved", "")
    let_claims_expire()
    settle_payments()
    captured.refresh_from_db()
    assert (captured.wanted, captured.refunded_amount) == ("nothing", 1200)


def test_several_pending_refunds_are_looked_up_in_turn(captured: Payment, bank: Bank) -> None:
    for amount in (100, 200, 300):
        give_part(captured, amount)
    settle_payments()
    assert bank.asked == ["send refund:1", "send refund:2", "send refund:3"]
    bank.decisions["refund:3"] = ("approved", "")
    for _ in range(3):
        let_claims_expire()
        settle_payments()
    assert sorted(bank.asked[3:]) == ["look up refund:1", "look up refund:2", "look up refund:3"]
    captured.refresh_from_db()
    assert captured.refunded_amount == 300


def test_the_refund_of_a_hint_is_looked_up_first(captured: Payment, bank: Bank) -> None:
    for amount in (100, 200):
        give_part(captured, amount)
    settle_payments()
    bank.decisions["refund:2"] = ("approved", "")
    assert take_hint(GatewayHint(id="evt_1", key=f"{captured.pk}:refund:2"))
    settle_payments()
    assert bank.asked[2:] == ["look up refund:2"]
    assert list(Refund.objects.values_list("number", "status")) == [(1, "pending"), (2, "done")]


def test_a_hint_after_the_end_changes_nothing(captured: Payment, bank: Bank) -> None:
    bank.decisions["refund:1"] = ("approved", "")
    give_part(captured, 100)
    settle_payments()
    assert not take_hint(GatewayHint(id="evt_1", key=f"{captured.pk}:refund:1"))
    settle_payments()
    assert bank.asked == ["send refund:1"]


def test_a_pending_refund_is_no_case_for_ten_days(captured: Payment, bank: Bank) -> None:
    give_part(captured, 100)
    settle_payments()
    Attempt.objects.update(started_at=Now() - timedelta(days=9))
    assert reconcile().open == []
    Attempt.objects.update(started_at=Now() - timedelta(days=11))
    [case] = reconcile().open
    assert (case.kind, case.description.partition(" waits ")[2]) == ("stuck", "for its refund: pending")


def test_only_a_refund_can_be_pending(place: Any, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = place()
    with monkeypatch.context() as patch:
        patch.setattr(
            SandboxGateway,
            "authorize",
            lambda gateway, key, token, amount, currency: GatewayAnswer(
                outcome="pending", reference="auth_1", amount=amount, currency=currency, reason="processing"
            ),
        )
        settle_payments()
    payment.refresh_from_db()
    assert (payment.status, said(payment.order_id)) == ("pending", [])
    assert Attempt.objects.get().outcome == "pending: processing"
    let_claims_expire()
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "authorized"


def test_a_capture_before_a_refund_is_not_retried_before_its_pause_ends(
    place: Any, confirmed: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def stay_silent(gateway: SandboxGateway, key: str, reference: str, amount: int) -> GatewayAnswer:
        calls.append(key)
        raise GatewayUnavailable("no route to host")

    payment = place()
    settle_payments()
    follow_orders([confirmed(payment)])
    monkeypatch.setattr(SandboxGateway, "capture", stay_silent)
    settle_payments()
    follow_orders([cancelled(payment)])
    settle_payments()
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted, len(calls)) == ("authorized", "refund", 2)
    assert read_pause(payment) in (3, 4)
