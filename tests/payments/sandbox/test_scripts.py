"""The scripts of test tokens disturb the first call of a key. The money moves once and the shop learns the outcome."""

from typing import Any

import pytest
from django.db import transaction

from payments.handlers import follow_orders
from payments.models import Attempt, Payment
from payments.reconciliation.comparison import find_money_differences
from payments.refunds import refund_part
from payments.sandbox import hooks, scripts
from payments.tasks import settle_payments
from tests.payments.dying import let_claims_expire, wait_for_late_calls

pytestmark = pytest.mark.django_db

APPROVED = sorted({*scripts.TOKENS} - {*scripts.DECLINED})
#: The recorded outcome of the first call, for tokens without a valid first answer.
PROBLEMS = {
    "tok_timeout_before": "Read timed out",
    "tok_timeout_after": "Read timed out",
    "tok_error": "answered 500",
    "tok_wrong_amount": "the amount 5000, expected 4999",
    "tok_error_repeated": "answered 500",
    "tok_twice": "the answer has a wrong shape",
    **{token: "answered 500" for token in scripts.TOKENS if token.startswith("tok_webhook")},
}
#: The ledger entries after a first call without a valid answer.
BOOKED = {token for token in PROBLEMS if token not in ("tok_timeout_before", "tok_error", "tok_error_repeated")}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Shorten the scripts' waits and the read timeout, and send no webhooks."""
    monkeypatch.setattr(scripts, "HANG_SECONDS", 0.5)
    monkeypatch.setattr(scripts, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(hooks, "schedule_webhook", lambda *args: None)
    settings.GATEWAY_READ_SECONDS = 0.25


def settle_until_nothing_is_wanted(payment: Payment) -> None:
    for _ in range(5):
        let_claims_expire()
        settle_payments()
        wait_for_late_calls()
        payment.refresh_from_db()
        if payment.wanted == "nothing":
            return
    raise AssertionError(f"{payment} is {payment.status} and wants {payment.wanted}")


@pytest.mark.parametrize("token", APPROVED)
def test_each_token_is_charged_once_captured_once_and_refunded_once(
    place: Any, books: Any, confirmed: Any, token: str
) -> None:
    payment = place(token)
    settle_until_nothing_is_wanted(payment)
    assert payment.status == "authorized"
    with transaction.atomic():
        follow_orders([confirmed(payment)])
    settle_until_nothing_is_wanted(payment)
    assert payment.status == "captured"
    with transaction.atomic():
        refund_part(payment, 4999, reason="all of it", requested_by="ann")
    settle_until_nothing_is_wanted(payment)
    assert payment.status == "refunded"
    assert books() == [(operation, "approved", 4999) for operation in ("authorize", "capture", "refund")]
    calls = [3, 1] if token == "tok_error_repeated" else [2 if token in PROBLEMS else 1]
    assert list(Attempt.objects.order_by("started_at").values_list("calls", flat=True)) == calls * 3
    assert list(find_money_differences()) == []


@pytest.mark.parametrize("token", sorted(PROBLEMS))
def test_the_first_call_is_an_unknown_outcome_that_says_why(place: Any, books: Any, token: str) -> None:
    payment = place(token)
    settle_payments()
    wait_for_late_calls()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("pending", "authorize")
    assert PROBLEMS[token] in Attempt.objects.get().outcome
    if token != "tok_timeout_after":  # the gateway may store its entry a moment later
        assert len(books()) == (token in BOOKED)


@pytest.mark.parametrize(("token", "reason"), sorted(scripts.DECLINED.items()))
def test_a_declined_token_says_why(place: Any, token: str, reason: str) -> None:
    place(token)
    settle_payments()
    assert Payment.objects.get().reason == reason
