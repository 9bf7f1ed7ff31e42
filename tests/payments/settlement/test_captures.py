"""A capture that the gateway declines, or does not carry out in time, ends in a state and a case for staff."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from payments.gateways.protocol import GatewayAnswer, GatewayFailed, GatewayUnavailable
from payments.gateways.sandbox import SandboxGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Case, Payment
from payments.reconciliation.cases import close_case, reconcile
from payments.reconciliation.comparison import find_money_differences
from payments.sandbox.scripts import CAPTURE_DECLINED
from payments.settlement.captures import NotCapturable, capture_again
from payments.tasks import settle_payments
from relay.models import Outbox
from tests.payments.dying import let_claims_expire

pytestmark = pytest.mark.django_db


def settle_again(times: int = 1) -> None:
    for _ in range(times):
        let_claims_expire()
        settle_payments()


def repeat_capture(payment: Payment) -> None:
    with transaction.atomic():
        capture_again(Payment.objects.select_for_update().get(pk=payment.pk))


@pytest.fixture
def confirmed_order(place: Any, confirmed: Any) -> Any:
    """Return a function that returns an authorized payment whose order was confirmed, so that it wants its capture."""

    def confirm(token: str = "tok_ok") -> Payment:
        payment: Payment = place(token)
        settle_payments()
        follow_orders([confirmed(payment)])
        payment.refresh_from_db()
        assert (payment.status, payment.wanted) == ("authorized", "capture")
        return payment

    return confirm


@pytest.fixture
def failed(confirmed_order: Any) -> Payment:
    """Return a payment whose capture was declined three times."""
    payment: Payment = confirmed_order(CAPTURE_DECLINED)
    settle_again(3)
    payment.refresh_from_db()
    return payment


def test_a_declined_capture_ends_in_a_state_an_event_and_a_case(failed: Payment, said: Any) -> None:
    assert (failed.status, failed.wanted, failed.reason) == ("failed", "nothing", "declined: expired card")
    assert said(failed.order_id) == ["PaymentAuthorized.v1", "PaymentFailed.v1"]
    assert json.loads(Outbox.objects.get(type="PaymentFailed.v1").body)["reason"] == "declined: expired card"
    case = Case.objects.get()
    what = f"payment {failed.pk} of order {failed.order_id} can't be captured: capture it again or cancel the order"
    assert (case.kind, case.description) == ("capture_failed", f"{what} (declined: expired card)")
    keys = Attempt.objects.filter(operation="capture").order_by("started_at").values_list("idempotency_key", flat=True)
    assert [key.partition(":")[2] for key in keys] == ["capture", "capture~2", "capture~3"]
    assert reconcile().opened == 0
    assert list(find_money_differences()) == []


def test_a_single_declined_capture_is_tried_again(confirmed_order: Any, said: Any) -> None:
    payment = confirmed_order(CAPTURE_DECLINED)
    settle_again(2)
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("authorized", "capture")
    assert said(payment.order_id) == ["PaymentAuthorized.v1"]


def test_a_capture_that_was_made_elsewhere_is_found_after_the_decline(confirmed_order: Any) -> None:
    payment = confirmed_order()
    SandboxGateway().capture(f"{payment.pk}:capture~2", payment.gateway_reference, 4999)
    settle_again(2)
    payment.refresh_from_db()
    assert (payment.status, payment.captured_amount) == ("captured", 4999)


def test_staff_capture_a_failed_payment_again(failed: Payment, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    repeat_capture(failed)
    monkeypatch.setattr("payments.sandbox.books.find_capture_refusal", lambda reference: None)
    settle_again()
    failed.refresh_from_db()
    assert (failed.status, failed.wanted, failed.captured_amount, failed.reason) == ("captured", "nothing", 4999, "")
    assert said(failed.order_id)[2:] == ["PaymentCaptured.v1"]
    assert (reconcile().closed, reconcile().open) == (1, [])


def test_a_repeated_capture_that_fails_again_asks_staff_again(failed: Payment, said: Any) -> None:
    close_case(Case.objects.get().pk, by="ann", note="called the customer")
    repeat_capture(failed)
    failed.refresh_from_db()
    assert failed.status == "failed", "the order must not be shown as paid during the repetition"
    settle_again()
    failed.refresh_from_db()
    assert (failed.status, failed.wanted) == ("failed", "nothing")
    assert said(failed.order_id).count("PaymentFailed.v1") == 1
    assert Case.objects.get().closed_at is None


def test_only_a_failed_capture_is_repeated(failed: Payment, confirmed_order: Any) -> None:
    with pytest.raises(NotCapturable, match="is authorized and wants capture: only a failed capture repeats"):
        repeat_capture(confirmed_order())
    repeat_capture(failed)
    with pytest.raises(NotCapturable, match="is failed and wants capture"):
        repeat_capture(failed)


@pytest.mark.parametrize("repeated", [False, True])
def test_a_cancelled_order_with_a_failed_capture_is_voided(
    failed: Payment, said: Any, books: Any, cancelled: Any, repeated: bool
) -> None:
    if repeated:
        repeat_capture(failed)
    follow_orders([cancelled(failed)])
    settle_again(2)
    failed.refresh_from_db()
    assert (failed.status, failed.wanted) == ("voided", "nothing")
    assert said(failed.order_id)[2:] == ["PaymentVoided.v1"]
    assert books()[-1] == ("void", "approved", 4999)
    assert (reconcile().open, list(find_money_differences())) == ([], [])


def move_back(payment: Payment, **age: float) -> None:
    Payment.objects.filter(pk=payment.pk).update(created_at=Now() - timedelta(**age))


def test_a_capture_that_errors_for_ever_fails_a_day_before_the_authorization_ends(
    confirmed_order: Any, said: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def break_down(*args: object) -> GatewayAnswer:
        raise GatewayFailed("the gateway answered 500")

    payment = confirmed_order()
    with monkeypatch.context() as patch:
        patch.setattr(SandboxGateway, "capture", break_down)
        move_back(payment, days=5, hours=23)
        settle_again(3)
        payment.refresh_from_db()
        assert (payment.status, payment.wanted) == ("authorized", "capture")
        assert reconcile().open == []
        move_back(payment, days=6, hours=1)
        [expiring] = reconcile().open
        assert expiring.kind == "expiring" and "its authorization ends at" in expiring.description
        settle_again(2)
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("failed", "nothing")
    assert payment.reason == "not captured before the authorization's end"
    assert said(payment.order_id)[1:] == ["PaymentFailed.v1"]
    assert [case.kind for case in reconcile().open] == ["capture_failed"]
    repeat_capture(payment)
    settle_again()
    payment.refresh_from_db()
    assert payment.status == "captured"


def test_the_duration_of_an_authorization_is_a_setting(confirmed_order: Any, settings: Any) -> None:
    payment = confirmed_order()
    Payment.objects.update(wanted="nothing")
    move_back(payment, days=6, hours=1)
    assert [case.kind for case in reconcile().open] == ["expiring"]
    settings.PAYMENT_HOLD_DAYS = 30
    assert reconcile().open == []


def test_a_capture_with_an_unknown_outcome_never_fails(confirmed_order: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway may have captured the money. Only a lookup that finds no capture is a failure."""

    def stay_silent(*args: object, **trace: object) -> None:
        raise GatewayUnavailable("no route to host")

    payment = confirmed_order()
    move_back(payment, days=8)
    monkeypatch.setattr(SandboxGateway, "capture", stay_silent)
    monkeypatch.setattr(SandboxGateway, "lookup", stay_silent)
    settle_again(5)
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("authorized", "capture")
