"""Settlement with dying workers, concurrent workers and a silent gateway. All transactions really commit."""

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from payments.gateways.protocol import GatewayAnswer, GatewayUnavailable
from payments.gateways.sandbox import SandboxGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Payment
from payments.sandbox import scripts
from payments.settlement import calls, claims, decisions, results
from payments.tasks import settle_payments
from shop.workqueue.shift import Shift
from tests.payments.dying import Killed, die, let_claims_expire, settle_in_thread, wait_for_late_calls

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_crash_between_charge_and_record_charges_once(
    place: Any, books: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(calls, "record_calls", die)
        settle_payments()
    assert books() == [("authorize", "approved", 4999)]
    assert Payment.objects.get().status == "pending"
    let_claims_expire()
    settle_payments()
    assert Payment.objects.get().status == "authorized"
    assert books() == [("authorize", "approved", 4999)]
    assert said(payment.order_id) == ["PaymentAuthorized.v1"]
    assert Attempt.objects.get().calls == 2


def test_a_crash_before_the_call_charges_once(place: Any, books: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(calls, "make_call", die)
        settle_payments()
    assert books() == []
    let_claims_expire()
    settle_payments()
    assert books() == [("authorize", "approved", 4999)]


def test_an_unknown_outcome_is_looked_up_before_it_is_repeated(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(calls, "record_calls", die)
        settle_payments()
    let_claims_expire()
    monkeypatch.setattr(SandboxGateway, "authorize", die)
    settle_payments()
    assert Payment.objects.get().status == "authorized"


def test_a_dead_workers_claim_is_respected_until_it_expires(
    place: Any, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(calls, "make_call", die)
        settle_payments()
    Payment.objects.update(due_at=Now() - timedelta(seconds=60))
    settle_payments()
    assert books() == []


def test_two_workers_charge_a_payment_once(place: Any, books: Any, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_CALLS", 2)
    payments = [place() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(settle_in_thread, range(24)))
    assert books() == [("authorize", "approved", 4999)] * 8
    assert [said(payment.order_id) for payment in payments] == [["PaymentAuthorized.v1"]] * 8


def test_a_worker_that_slept_past_its_claim_records_nothing(place: Any, said: Any) -> None:
    payment = place()
    [sleeper] = claims.claim_calls(10)
    done = calls.make_call(sleeper, begin_by=math.inf)
    let_claims_expire()
    settle_payments()
    results.record_calls([done])
    assert said(payment.order_id) == ["PaymentAuthorized.v1"]


def test_a_cancellation_during_the_call_gives_the_money_back(
    place: Any, books: Any, said: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    called, may_answer = threading.Event(), threading.Event()

    def authorize_slowly(gateway: SandboxGateway, *args: Any) -> GatewayAnswer:
        called.set()
        assert may_answer.wait(60)
        return authorize(gateway, *args)

    authorize = SandboxGateway.authorize
    monkeypatch.setattr(SandboxGateway, "authorize", authorize_slowly)
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(settle_in_thread)
        assert called.wait(60)
        with transaction.atomic():
            follow_orders([cancelled(payment)])
        settle_payments()  # the cancellation rings, but the call in flight holds the claim
        assert books() == []
        may_answer.set()
        worker.result(timeout=60)
    wait_for_late_calls()
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("voided", "nothing")
    assert books() == [("authorize", "approved", 4999), ("void", "approved", 4999)]
    assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentVoided.v1"]


def test_a_cancellation_after_a_crash_gives_back_what_was_charged(
    place: Any, books: Any, cancelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(calls, "record_calls", die)
        settle_payments()
    with transaction.atomic():
        follow_orders([cancelled(payment)])
    let_claims_expire()
    settle_payments()
    assert Payment.objects.get().status == "voided"
    assert books() == [("authorize", "approved", 4999), ("void", "approved", 4999)]


def test_a_silent_gateway_is_called_again_after_growing_pauses(
    place: Any, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place()
    with monkeypatch.context() as patch:
        patch.setattr(SandboxGateway, "authorize", fail)
        patch.setattr(SandboxGateway, "lookup", fail)
        pauses = []
        for _ in range(3):
            let_claims_expire()
            settle_payments()
            waiting = Payment.objects.annotate(now=Now()).get()
            assert waiting.claimed_until is None
            pauses.append(round((waiting.due_at - waiting.now).total_seconds()))
    assert pauses == [2, 4, 8]
    assert Attempt.objects.get().outcome == "GatewayUnavailable: no route to host"
    settle_payments()
    assert books() == []
    let_claims_expire()
    settle_payments()
    assert books() == [("authorize", "approved", 4999)]


def fail(*args: object, **trace: object) -> None:
    raise GatewayUnavailable("no route to host")


def test_the_longest_waiting_payments_are_claimed_first_up_to_the_limit(
    place: Any, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_CALLS", 2)
    payments = [place(amount=amount) for amount in (1, 2, 3)]
    for age, payment in zip((10, 30, 20), payments, strict=True):
        Payment.objects.filter(pk=payment.pk).update(due_at=Now() - timedelta(seconds=age))
    assert calls.settle_due_payments() == 2
    assert sorted(amount for _, _, amount in books()) == [2, 3]
    assert [calls.settle_due_payments(), calls.settle_due_payments()] == [1, 0]


def test_a_crash_in_the_middle_of_a_batch_charges_each_once(
    place: Any, books: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = [place(amount=amount) for amount in (1, 2, 3)]
    ask = calls.ask

    def die_at_the_second(call: claims.Call) -> GatewayAnswer | None:
        answer = ask(call)
        if call.amount == 2:
            raise Killed
        return answer

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(calls, "ask", die_at_the_second)
        settle_payments()
    let_claims_expire()
    settle_payments()
    assert sorted(books()) == [("authorize", "approved", amount) for amount in (1, 2, 3)]
    assert [said(payment.order_id) for payment in payments] == [["PaymentAuthorized.v1"]] * 3


def test_a_slow_call_holds_up_no_other_and_is_recorded_when_it_ends(
    place: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(scripts, "SLOW_SECONDS", 1.5)
    slow, *quick = place("tok_slow"), place(), place()
    began = time.monotonic()
    settle_payments()
    assert time.monotonic() - began < 1.2
    assert [said(payment.order_id) for payment in quick] == [["PaymentAuthorized.v1"]] * 2
    assert said(slow.order_id) == []
    wait_for_late_calls()
    assert said(slow.order_id) == ["PaymentAuthorized.v1"]


def test_late_calls_are_recorded_together_by_a_separate_thread(
    place: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the calling threads recorded late calls, each payment of a long queue would need its own transaction."""
    recorded: list[tuple[str, int]] = []

    def record(finished: Sequence[decisions.FinishedCall]) -> None:
        recorded.append((threading.current_thread().name, len(finished)))
        results.record_calls(finished)

    monkeypatch.setattr(calls, "record_calls", record)
    monkeypatch.setattr(calls, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(scripts, "SLOW_SECONDS", 0.3)
    payments = [place("tok_slow") for _ in range(40)]
    settle_payments()
    wait_for_late_calls()
    assert [said(payment.order_id) for payment in payments] == [["PaymentAuthorized.v1"]] * 40
    assert [name for name, _ in recorded if name.startswith("gateway")] == []
    assert len([number for _, number in recorded if number]) < 20


def test_a_call_that_could_outlast_its_claim_is_not_started(place: Any, books: Any) -> None:
    place()
    [call] = claims.claim_calls(10)
    results.record_calls([calls.make_call(call, begin_by=time.monotonic() - 1)])
    assert books() == []
    waiting = Payment.objects.get()
    assert (waiting.wanted, waiting.claimed_until) == ("authorize", None)


def test_a_client_that_fails_on_one_payment_settles_the_others(
    place: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, good = place(amount=1), place(amount=2)
    authorize = SandboxGateway.authorize

    def fail_on_one(gateway: SandboxGateway, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        assert amount != 1, "a simulated bug of the client"
        return authorize(gateway, key, token, amount, currency)

    monkeypatch.setattr(SandboxGateway, "authorize", fail_on_one)
    settle_payments()
    assert (said(broken.order_id), said(good.order_id)) == ([], ["PaymentAuthorized.v1"])
    assert "a simulated bug of the client" in Attempt.objects.get(payment=broken).outcome


def test_a_ring_while_all_workers_are_busy_is_not_lost() -> None:
    """The second ring finds no free worker, but the busy worker checks again before it stops."""
    shift, due, rings = Shift(workers=1), [1, 0, 1, 0], []

    def take() -> int:
        if len(due) == 3:  # the worker has just seen that nothing is due
            with ThreadPoolExecutor(1) as pool:
                rings.append(pool.submit(shift.work, take).result(timeout=60))
        return due.pop(0)

    assert shift.work(take)
    assert (due, rings) == ([], [True])
