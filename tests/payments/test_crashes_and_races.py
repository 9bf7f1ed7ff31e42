"""What happens when workers die, meet, or wait for a gateway that does not answer. Everything commits for real."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models.functions import Now

from payments import settlement, tasks
from payments.gateway import GatewayAnswer, GatewayUnavailable
from payments.handlers import want_void
from payments.models import Attempt, Payment
from payments.sandbox import SandboxGateway
from payments.tasks import settle_payment, sweep_payments

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(Exception):
    """Stands for kill -9: nothing after it runs."""


def die(*args: object) -> None:
    raise Killed


def let_claims_expire() -> None:
    """What half a minute would do."""
    past = Now() - timedelta(seconds=1)
    Payment.objects.update(claimed_until=past, due_at=past)


def settle_in_thread(payment: Payment) -> None:
    try:
        settle_payment(str(payment.pk))
    finally:
        connections.close_all()


def test_a_crash_between_charge_and_record_charges_once(
    place: Any, books: Any, said: Any, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tasks, "record_answer", die)
        settle_payment(str(payment.pk))
    assert books() == [("authorize", "approved", 4999)]
    assert Payment.objects.get().status == "pending"
    let_claims_expire()
    rung.clear()
    sweep_payments()
    assert rung == [str(payment.pk)]
    settle_payment(str(payment.pk))
    assert Payment.objects.get().status == "authorized"
    assert books() == [("authorize", "approved", 4999)]
    assert said(payment.order_id) == ["PaymentAuthorized.v1"]
    assert Attempt.objects.get().calls == 2


def test_a_crash_before_the_gateway_was_reached_charges_once(
    place: Any, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tasks, "make_call", die)
        settle_payment(str(payment.pk))
    assert books() == []
    let_claims_expire()
    settle_payment(str(payment.pk))
    assert books() == [("authorize", "approved", 4999)]


def test_an_unknown_outcome_is_looked_up_before_it_is_repeated(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tasks, "record_answer", die)
        settle_payment(str(payment.pk))
    let_claims_expire()
    monkeypatch.setattr(SandboxGateway, "authorize", die)
    settle_payment(str(payment.pk))
    assert Payment.objects.get().status == "authorized"


def test_a_dead_workers_claim_is_respected_until_it_expires(
    place: Any, books: Any, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tasks, "make_call", die)
        settle_payment(str(payment.pk))
    rung.clear()
    Payment.objects.update(due_at=Now() - timedelta(seconds=60))
    sweep_payments()
    settle_payment(str(payment.pk))
    assert (rung, books()) == ([], [])


def test_two_workers_charge_a_payment_once(place: Any, books: Any, said: Any) -> None:
    payments = [place() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(settle_in_thread, payments * 3))
    assert books() == [("authorize", "approved", 4999)] * 8
    assert [said(payment.order_id) for payment in payments] == [["PaymentAuthorized.v1"]] * 8


def test_a_worker_that_slept_past_its_claim_records_nothing(
    place: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    sleeper = settlement.claim_call(payment.pk)
    assert sleeper is not None
    answer = settlement.make_call(sleeper)
    let_claims_expire()
    settle_payment(str(payment.pk))
    assert settlement.record_answer(sleeper, answer) is None
    assert said(payment.order_id) == ["PaymentAuthorized.v1"]


def test_a_cancellation_during_the_call_gives_the_money_back(
    place: Any, books: Any, said: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    called, may_answer = threading.Event(), threading.Event()

    def authorize_slowly(gateway: SandboxGateway, *args: Any) -> GatewayAnswer:
        called.set()
        assert may_answer.wait(10)
        return authorize(gateway, *args)

    authorize = SandboxGateway.authorize
    monkeypatch.setattr(SandboxGateway, "authorize", authorize_slowly)
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(settle_in_thread, payment)
        assert called.wait(10)
        with transaction.atomic():
            want_void(cancelled(payment))
        settle_payment(str(payment.pk))  # rung for the cancellation: the call in flight holds the claim
        assert books() == []
        may_answer.set()
        worker.result(timeout=10)
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("voided", "nothing")
    assert books() == [("authorize", "approved", 4999), ("void", "approved", 4999)]
    assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentVoided.v1"]


def test_a_cancellation_after_a_crash_gives_back_what_was_charged(
    place: Any, books: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tasks, "record_answer", die)
        settle_payment(str(payment.pk))
    with transaction.atomic():
        want_void(cancelled(payment))
    let_claims_expire()
    settle_payment(str(payment.pk))
    assert Payment.objects.get().status == "voided"
    assert books() == [("authorize", "approved", 4999), ("void", "approved", 4999)]


def test_a_silent_gateway_is_asked_again_after_growing_pauses(
    place: Any, books: Any, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    with monkeypatch.context() as patch:
        patch.setattr(SandboxGateway, "authorize", fail)
        patch.setattr(SandboxGateway, "lookup", fail)
        pauses = []
        for _ in range(3):
            settle_payment(str(payment.pk))
            waiting = Payment.objects.annotate(now=Now()).get()
            assert waiting.claimed_until is None
            pauses.append(round((waiting.due_at - waiting.now).total_seconds()))
    assert pauses == [2, 4, 8]
    assert Attempt.objects.get().outcome == "GatewayUnavailable: no route to host"
    rung.clear()
    sweep_payments()
    assert rung == []
    let_claims_expire()
    sweep_payments()
    assert rung == [str(payment.pk)]
    settle_payment(str(payment.pk))
    assert books() == [("authorize", "approved", 4999)]


def fail(*args: object) -> None:
    raise GatewayUnavailable("no route to host")


def test_the_sweep_takes_the_longest_waiting_and_no_more_than_its_limit(
    place: Any, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SWEEP_LIMIT", 2)
    payments = [place() for _ in range(3)]
    for age, payment in zip((10, 30, 20), payments, strict=True):
        Payment.objects.filter(pk=payment.pk).update(due_at=Now() - timedelta(seconds=age))
    rung.clear()
    sweep_payments()
    assert rung == [str(payments[1].pk), str(payments[2].pk)]
    sweep_payments()
    assert rung[2:] == [str(payments[0].pk)]


def test_the_sweep_leaves_a_payment_to_its_doorbell_for_a_moment(place: Any, rung: list[str], books: Any) -> None:
    place()
    rung.clear()
    sweep_payments()
    assert rung == []
