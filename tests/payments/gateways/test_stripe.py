"""The Stripe gateway against localstripe, a local replacement of Stripe's API in a separate process."""

from base64 import b64encode
from typing import Any
from urllib.request import Request, urlopen
from uuid import UUID

import pytest
from django.db import transaction
from uuid_utils.compat import uuid7

from payments.gateways import stripe as stripe_gateway
from payments.gateways.protocol import GatewayAnswer, GatewayHint, GatewayUnavailable
from payments.gateways.stripe import StripeGateway
from payments.gateways.stripe_answers import read_key
from payments.gateways.stripe_requests import read_pages
from payments.handlers import follow_orders
from payments.models import Payment, Refund
from payments.reconciliation.comparison import find_money_differences
from payments.refunds import refund_part
from payments.tasks import settle_payments
from payments.webhooks import take_hint
from tests.payments.dying import let_claims_expire

GOOD, BAD = "pm_card_visa", "pm_card_chargeCustomerFail"
gateway = StripeGateway()


@pytest.fixture(autouse=True)
def stripe_is_the_gateway(localstripe: str, settings: Any) -> None:
    settings.PAYMENT_GATEWAY = "payments.gateways.stripe.StripeGateway"
    settings.STRIPE_URL, settings.STRIPE_KEY = localstripe, "sk_test_1"


def set_refund_status(address: str, refund_id: str, status: str) -> None:
    """Set the status of a refund at localstripe, as a bank's decision does at Stripe."""
    request = Request(f"{address}/v1/refunds/{refund_id}", data=f"status={status}".encode(), method="POST")
    request.add_header("Authorization", f"Basic {b64encode(b'sk_test_1:').decode()}")
    assert urlopen(request, timeout=10).status == 200


def make_key(operation: str, payment: UUID | None = None) -> str:
    return f"{payment or uuid7()}:{operation}"


def test_an_authorization_is_captured_in_full_and_refunded_in_parts() -> None:
    held = gateway.authorize(make_key("authorize"), GOOD, 500, "EUR")
    assert (held.outcome, held.amount, held.currency) == ("approved", 500, "EUR")
    taken = gateway.capture(make_key("capture"), held.reference, 500)
    assert (taken.outcome, taken.amount, taken.reference) == ("approved", 500, held.reference)
    for amount in (200, 300):
        back = gateway.refund(make_key(f"refund:{amount}"), held.reference, amount)
        assert (back.outcome, back.amount, back.reference) == ("approved", amount, held.reference)


def test_an_authorization_is_voided() -> None:
    held = gateway.authorize(make_key("authorize"), GOOD, 500, "EUR")
    given_back = gateway.void(make_key("void"), held.reference)
    assert (given_back.outcome, given_back.amount) == ("approved", 500)
    refused = gateway.capture(make_key("capture"), held.reference, 500)
    assert gateway.lookup(make_key("void"), held.reference) == given_back
    assert (refused.outcome, refused.reason) == ("declined", "cancelled at Stripe: no reason given")


@pytest.mark.parametrize(("token", "reason"), [(BAD, "card_declined"), ("pm_none", "refused: ")])
def test_a_declined_card_says_why(token: str, reason: str) -> None:
    answer = gateway.authorize(make_key("authorize"), token, 500, "EUR")
    assert (answer.outcome, answer.reference, answer.amount, answer.currency) == ("declined", "", 500, "EUR")
    assert answer.reason.startswith(reason)


def test_a_captured_authorization_is_not_captured_again() -> None:
    held = gateway.authorize(make_key("authorize"), GOOD, 500, "EUR")
    gateway.capture(make_key("capture"), held.reference, 500)
    again = gateway.capture(make_key("capture"), held.reference, 500)
    assert (again.outcome, again.amount, again.currency) == ("declined", 500, "EUR")
    assert gateway.void(make_key("void"), held.reference).outcome == "declined"


def test_a_lookup_finds_only_completed_calls() -> None:
    payment = uuid7()
    key = make_key("authorize", payment)
    assert gateway.lookup(key) is None
    held = gateway.authorize(key, GOOD, 700, "EUR")
    assert gateway.lookup(key) == held
    assert gateway.lookup(make_key("capture", payment), held.reference) is None
    taken = gateway.capture(make_key("capture", payment), held.reference, 700)
    assert gateway.lookup(make_key("capture", payment), held.reference) == taken
    assert gateway.lookup(make_key("refund:1", payment), held.reference) is None
    back = gateway.refund(make_key("refund:1", payment), held.reference, 100)
    assert gateway.lookup(make_key("refund:1", payment), held.reference) == back
    assert gateway.lookup(make_key("refund:2", payment), held.reference) is None
    assert gateway.lookup(key) == held


def test_a_declined_card_is_found_by_its_key() -> None:
    key = make_key("authorize")
    answer = gateway.authorize(key, BAD, 500, "EUR")
    assert gateway.lookup(key) == answer


def test_wrong_credentials_are_no_answer(settings: Any) -> None:
    settings.STRIPE_KEY = "wrong"
    with pytest.raises(GatewayUnavailable, match="Unauthorized"):
        gateway.authorize(make_key("authorize"), GOOD, 500, "EUR")


@pytest.mark.django_db
def test_payments_settle_and_agree_with_stripes_books(place: Any, confirmed: Any, cancelled: Any) -> None:
    captured, refunded, partly, voided, declined, held = (
        place(token, amount=1000 + n) for n, token in enumerate([GOOD] * 4 + [BAD, GOOD])
    )
    settle_payments()
    with transaction.atomic():
        follow_orders([confirmed(payment) for payment in (captured, refunded, partly)])
        follow_orders([cancelled(voided)])
    settle_payments()
    with transaction.atomic():
        follow_orders([cancelled(refunded)])
        refund_part(Payment.objects.get(pk=partly.pk), 250, reason="scratched", requested_by="ann")
    settle_payments()
    states = dict(Payment.objects.values_list("pk", "status"))
    expected = {captured: "captured", refunded: "refunded", partly: "captured", voided: "voided", held: "authorized"}
    assert states == {**{payment.pk: status for payment, status in expected.items()}, declined.pk: "declined"}
    mine = {str(payment_id) for payment_id in states}
    told = [line for line in find_money_differences() if any(payment in line for payment in mine)]
    assert told == []


@pytest.mark.django_db
def test_a_pending_refund_is_done_when_stripe_says_so(
    place: Any, confirmed: Any, localstripe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place(GOOD, amount=900)
    key = f"{payment.pk}:refund:1"

    def find_refund_id() -> str:
        refunds = read_pages(lambda client, page: client.v1.refunds.list(page))
        return next(str(refund.id) for refund in refunds if read_key(refund) == key)

    make_refund = StripeGateway.refund

    def refund_slowly(gateway: StripeGateway, key: str, reference: str, amount: int) -> GatewayAnswer:
        make_refund(gateway, key, reference, amount)
        set_refund_status(localstripe, find_refund_id(), "pending")
        raise GatewayUnavailable("the answer was lost")

    monkeypatch.setattr(stripe_gateway.StripeGateway, "refund", refund_slowly)
    settle_payments()
    follow_orders([confirmed(payment)])
    settle_payments()
    with transaction.atomic():
        refund_part(Payment.objects.get(pk=payment.pk), 900, reason="scratched", requested_by="ann")
    settle_payments()
    let_claims_expire()
    settle_payments()
    assert (Refund.objects.get().status, Payment.objects.get(pk=payment.pk).wanted) == ("pending", "refund")
    set_refund_status(localstripe, find_refund_id(), "succeeded")
    assert take_hint(GatewayHint(id="evt_refund", key=key))
    settle_payments()
    assert (Refund.objects.get().status, Payment.objects.get(pk=payment.pk).status) == ("done", "refunded")
