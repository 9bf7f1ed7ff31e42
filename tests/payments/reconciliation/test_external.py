"""Refunds and disputes that the shop did not cause: each opens a case, and refunded money is not refunded again."""

import json
from typing import Any

import pytest
import urllib3
from django.conf import settings
from django.db import transaction

from payments.gateways.sandbox import SandboxGateway
from payments.models import Case, Payment, Refund
from payments.reconciliation.cases import close_case, reconcile
from payments.reconciliation.comparison import find_money_differences
from payments.refunds import NotRefundable, refund_part
from payments.sandbox.books import open_books
from payments.tasks import settle_payments
from relay.models import Outbox

pytestmark = pytest.mark.django_db


def refund_by_hand(payment: Payment, amount: int, key: str = "re_1") -> None:
    assert SandboxGateway().refund(key, payment.gateway_reference, amount).outcome == "approved"


def dispute(payment: Payment, amount: int, key: str = "dp_1") -> None:
    """Dispute `amount` of the payment as the customer's bank."""
    headers = {"Authorization": f"Bearer {settings.SANDBOX_KEYS[0]}", "Idempotency-Key": key}
    body = json.dumps({"reference": payment.gateway_reference, "amount": amount})
    answer = urllib3.request("POST", f"{settings.SANDBOX_URL}/v1/dispute", headers=headers, body=body)
    assert answer.status == 200, answer.data


def give_back(payment: Payment, amount: int) -> Refund:
    with transaction.atomic():
        locked = Payment.objects.select_for_update().get(pk=payment.pk)
        return refund_part(locked, amount, reason="scratched", requested_by="ann")


def test_an_external_refund_is_recorded_published_and_a_case(captured: Payment, said: Any) -> None:
    refund_by_hand(captured, 1200)
    [case] = reconcile().open
    what = f"1200 EUR of payment {captured.pk} of order {captured.order_id} was refunded at the gateway as re_1"
    assert (case.kind, case.payment, case.description) == ("external_refund", captured, f"{what}, not by the shop")
    captured.refresh_from_db()
    assert (captured.status, captured.refunded_amount) == ("captured", 1200)
    refund = Refund.objects.get()
    assert (refund.amount, refund.status, refund.requested_by, refund.gateway_reference) == (
        *(1200, "done", "the gateway", "re_1"),
    )
    assert said(captured.order_id)[2:] == ["PaymentRefunded.v2"]
    body = json.loads(Outbox.objects.get(type="PaymentRefunded.v2").body)
    assert (body["amount"], body["left"]) == (1200, 3800)
    assert (reconcile().opened, list(find_money_differences())) == (0, [])
    assert Refund.objects.count() == 1


def test_the_refunded_money_can_not_be_refunded_again(captured: Payment) -> None:
    refund_by_hand(captured, 1200)
    reconcile()
    with pytest.raises(NotRefundable, match="3801 can't be refunded: 3800 of the captured 5000 is left"):
        give_back(captured, 3801)
    give_back(captured, 3800)
    settle_payments()
    captured.refresh_from_db()
    assert (captured.status, captured.refunded_amount) == ("refunded", 5000)
    assert list(find_money_differences()) == []


def test_an_external_refund_of_all_money_refunds_the_payment(captured: Payment) -> None:
    refund_by_hand(captured, 2000, "re_1")
    refund_by_hand(captured, 3000, "re_2")
    assert reconcile().opened == 2
    captured.refresh_from_db()
    assert (captured.status, captured.refunded_amount) == ("refunded", 5000)
    assert list(find_money_differences()) == []


def test_the_case_stays_open_until_staff_close_it(captured: Payment) -> None:
    refund_by_hand(captured, 1200)
    reconcile()
    assert (reconcile().closed, len(reconcile().open)) == (0, 1)
    close_case(Case.objects.get().pk, by="ann", note="agreed on the telephone")
    assert reconcile().open == []


def test_a_refund_of_a_payment_in_flight_is_recorded_when_it_has_settled(captured: Payment) -> None:
    refund_by_hand(captured, 1200)
    Payment.objects.update(wanted="refund")
    assert reconcile().open == []
    Payment.objects.update(wanted="nothing")
    assert reconcile().opened == 1
    assert Refund.objects.get().amount == 1200


def test_a_recorded_refund_that_disappears_from_the_ledger_is_a_difference(captured: Payment) -> None:
    refund_by_hand(captured, 1200)
    reconcile()
    Refund.objects.update(gateway_reference="re_0")
    assert any("0 entries for its refund re_0" in line for line in find_money_differences())


def test_a_dispute_is_a_case_and_prevents_refunds_until_it_is_closed(captured: Payment, said: Any) -> None:
    dispute(captured, 5000)
    [case] = reconcile().open
    what = f"5000 EUR of payment {captured.pk} of order {captured.order_id} is disputed by its customer as dp_1"
    assert (case.kind, case.payment, case.description.partition(":")[0]) == ("disputed", captured, what)
    assert said(captured.order_id) == ["PaymentAuthorized.v1", "PaymentCaptured.v1"]
    assert list(find_money_differences()) == []
    with pytest.raises(NotRefundable, match="the customer disputes this payment at the bank"):
        give_back(captured, 100)
    close_case(case.pk, by="ann", note="won")
    assert reconcile().open == []
    give_back(captured, 100)
    settle_payments()
    assert Refund.objects.get().status == "done"


def test_the_case_of_a_dispute_shows_its_newest_status(captured: Payment, books: Any) -> None:
    dispute(captured, 5000)
    reconcile()
    with open_books() as connection:
        connection.execute("update sandbox_gateway.ledger set outcome = 'declined' where operation = 'dispute'")
    [case] = reconcile().open
    assert case.description.endswith(": declined, ")


def test_an_external_refund_of_an_authorization_of_nobody_is_ignored(captured: Payment) -> None:
    """Another program may use the same account at the gateway."""
    reference = SandboxGateway().authorize("other:authorize", "tok_ok", 700, "EUR").reference
    SandboxGateway().capture("other:capture", reference, 700)
    SandboxGateway().refund("re_9", reference, 700)
    assert {case.kind for case in reconcile().open} == {"unknown_entry"}
    assert not any("re_9" in case.description for case in Case.objects.all())
