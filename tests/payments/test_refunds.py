"""Refunds of captured money: in full after a cancellation, in part by staff."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import transaction

from payments.gateways.protocol import GatewayAnswer, GatewayUnavailable
from payments.gateways.sandbox import SandboxGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Payment, Refund
from payments.reconciliation.comparison import find_money_differences
from payments.refunds import NotRefundable, refund_part
from payments.settlement import calls
from payments.tasks import settle_payments
from relay.models import Outbox
from tests.payments.dying import Killed, die, let_claims_expire, settle_in_thread, wait_for_late_calls

pytestmark = pytest.mark.django_db


def give_part(payment: Payment, amount: int, reason: str = "scratched") -> Refund:
    with transaction.atomic():
        return refund_part(
            Payment.objects.select_for_update().get(pk=payment.pk), amount, reason=reason, requested_by="ann"
        )


def test_an_order_cancelled_after_its_capture_gets_its_money_back(
    captured: Payment, books: Any, said: Any, cancelled: Any
) -> None:
    event = cancelled(captured)
    follow_orders([event])
    settle_payments()
    settle_payments()
    captured.refresh_from_db()
    assert (captured.status, captured.wanted, captured.refunded_amount) == ("refunded", "nothing", 5000)
    assert books()[2:] == [("refund", "approved", 5000)]
    assert said(captured.order_id) == ["PaymentAuthorized.v1", "PaymentCaptured.v1", "PaymentRefunded.v2"]
    refund = Refund.objects.get()
    assert (refund.status, refund.reason, refund.requested_by) == ("done", "order cancelled", str(event.event_id))
    assert Attempt.objects.get(refund=refund).idempotency_key == f"{captured.pk}:refund:1"
    assert list(find_money_differences()) == []


def test_an_order_cancelled_before_its_capture_starts_is_voided(
    place: Any, books: Any, confirmed: Any, cancelled: Any
) -> None:
    payment = place()
    settle_payments()
    follow_orders([confirmed(payment)])
    follow_orders([cancelled(payment)])
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "voided"
    assert [operation for operation, _, _ in books()] == ["authorize", "void"]


def test_an_order_cancelled_after_a_crash_in_its_capture_is_captured_and_refunded(
    place: Any, books: Any, said: Any, confirmed: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    settle_payments()
    follow_orders([confirmed(payment)])
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(calls, "make_call", die)
        settle_payments()
    follow_orders([cancelled(payment)])
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("authorized", "refund")
    let_claims_expire()
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_amount) == ("refunded", 4999)
    assert [operation for operation, _, _ in books()] == ["authorize", "capture", "refund"]
    assert said(payment.order_id)[1:] == ["PaymentCaptured.v1", "PaymentRefunded.v2"]
    assert list(find_money_differences()) == []


def test_an_order_cancelled_after_the_gateway_refused_its_capture_is_voided(
    place: Any, books: Any, said: Any, confirmed: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, the authorization has expired: there is nothing to refund."""

    def refuse(gateway: SandboxGateway, key: str, reference: str, amount: int) -> GatewayAnswer:
        return GatewayAnswer(outcome="declined", reference=reference, amount=amount, currency="EUR", reason="expired")

    payment = place()
    settle_payments()
    follow_orders([confirmed(payment)])
    monkeypatch.setattr(SandboxGateway, "capture", refuse)
    settle_payments()
    let_claims_expire()
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("authorized", "capture")
    follow_orders([cancelled(payment)])
    for _ in range(2):
        let_claims_expire()
        settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("voided", "nothing")
    assert [operation for operation, _, _ in books()] == ["authorize", "void"]
    assert not Refund.objects.exists()
    assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentVoided.v1"]
    assert list(find_money_differences()) == []


@pytest.mark.django_db(transaction=True)
def test_an_order_cancelled_during_its_capture_is_refunded_after_the_answer(
    place: Any, books: Any, confirmed: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    settle_payments()
    with transaction.atomic():
        follow_orders([confirmed(payment)])
    called, may_answer = threading.Event(), threading.Event()
    capture = SandboxGateway.capture

    def capture_slowly(gateway: SandboxGateway, *args: Any) -> GatewayAnswer:
        called.set()
        assert may_answer.wait(60)
        return capture(gateway, *args)

    monkeypatch.setattr(SandboxGateway, "capture", capture_slowly)
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(settle_in_thread)
        assert called.wait(60)
        with transaction.atomic():
            follow_orders([cancelled(payment)])
        may_answer.set()
        worker.result(timeout=60)
    wait_for_late_calls()
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("refunded", "nothing")
    assert [operation for operation, _, _ in books()] == ["authorize", "capture", "refund"]


def test_a_payment_is_refunded_in_parts_until_nothing_is_left(captured: Payment, books: Any, said: Any) -> None:
    give_part(captured, 2000)
    give_part(captured, 500)
    settle_payments()
    captured.refresh_from_db()
    assert (captured.status, captured.wanted, captured.refunded_amount) == ("captured", "nothing", 2500)
    assert list(find_money_differences()) == []
    with pytest.raises(NotRefundable, match="2501 can't be refunded: 2500 of the captured 5000 is left"):
        give_part(captured, 2501)
    give_part(captured, 2500)
    settle_payments()
    captured.refresh_from_db()
    assert (captured.status, captured.refunded_amount) == ("refunded", 5000)
    assert books()[2:] == [("refund", "approved", amount) for amount in (2000, 500, 2500)]
    assert said(captured.order_id)[2:] == ["PaymentRefunded.v2"] * 3
    bodies = Outbox.objects.filter(type="PaymentRefunded.v2").order_by("sequence").values_list("body", flat=True)
    told = [(json.loads(body)["amount"], json.loads(body)["left"]) for body in bodies]
    assert told == [(2000, 3000), (500, 2500), (2500, 0)]
    assert list(find_money_differences()) == []


def test_a_cancellation_refunds_the_amount_without_earlier_refunds(
    captured: Payment, books: Any, cancelled: Any
) -> None:
    give_part(captured, 1200)
    follow_orders([cancelled(captured)])
    settle_payments()
    captured.refresh_from_db()
    assert captured.status == "refunded"
    assert books()[2:] == [("refund", "approved", 1200), ("refund", "approved", 3800)]


@pytest.mark.parametrize("amount", [0, -5, 5001])
def test_an_impossible_amount_is_refused_and_named(captured: Payment, amount: int) -> None:
    with pytest.raises(NotRefundable, match=f"{amount} can't be refunded: 5000 of the captured 5000 is left"):
        give_part(captured, amount)
    assert not Refund.objects.exists()


def test_a_refund_needs_a_reason(captured: Payment) -> None:
    with pytest.raises(NotRefundable, match="needs a reason"):
        give_part(captured, 100, reason=" ")


def test_a_payment_without_a_capture_is_not_refunded(place: Any) -> None:
    payment = place()
    settle_payments()
    with pytest.raises(NotRefundable, match="0 of the captured 0 is left"):
        give_part(payment, 100)


def test_a_refund_whose_outcome_is_unknown_is_looked_up_and_not_paid_twice(
    captured: Payment, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = SandboxGateway.refund

    def refund_and_lose_the_answer(gateway: SandboxGateway, key: str, reference: str, amount: int) -> GatewayAnswer:
        refund(gateway, key, reference, amount)
        raise GatewayUnavailable("the answer was lost")

    give_part(captured, 700)
    with monkeypatch.context() as patch:
        patch.setattr(SandboxGateway, "refund", refund_and_lose_the_answer)
        settle_payments()
    captured.refresh_from_db()
    assert (captured.wanted, captured.refunded_amount) == ("refund", 0)
    let_claims_expire()
    monkeypatch.setattr(SandboxGateway, "refund", die)
    settle_payments()
    captured.refresh_from_db()
    assert (captured.wanted, captured.refunded_amount) == ("nothing", 700)
    assert books()[2:] == [("refund", "approved", 700)]


def test_a_refund_that_the_gateway_declines_says_why_and_leaves_the_money_refundable(
    captured: Payment, books: Any, said: Any
) -> None:
    SandboxGateway().refund("by hand", captured.gateway_reference, 4500)
    give_part(captured, 1000)
    settle_payments()
    captured.refresh_from_db()
    assert (captured.status, captured.wanted, captured.refunded_amount) == ("captured", "nothing", 0)
    refund = Refund.objects.get()
    assert (refund.status, refund.answer) == ("declined", "only 500 is left to refund")
    assert "PaymentRefunded.v2" not in said(captured.order_id)
    give_part(captured, 500)
    settle_payments()
    captured.refresh_from_db()
    assert captured.refunded_amount == 500
