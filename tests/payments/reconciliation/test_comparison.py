"""The comparison of payments with the gateway's ledger finds and names every difference."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from payments.gateways.sandbox import SandboxGateway
from payments.handlers import follow_orders
from payments.models import Payment
from payments.reconciliation import ledger
from payments.reconciliation.comparison import find_money_differences, find_money_in_flight
from payments.sandbox.books import open_books
from payments.tasks import settle_payments

pytestmark = pytest.mark.django_db
Till = Callable[[str], Payment]


@pytest.fixture
def till(place: Any, cancelled: Any) -> Till:
    """Return a function that creates a payment and settles it until it has a given status."""

    def settle_until(status: str) -> Payment:
        payment: Payment = place("tok_declined" if status == "declined" else "tok_ok")
        if status == "voided before":
            follow_orders([cancelled(payment)])
        settle_payments()
        if status in ("captured", "voided", "refunded"):
            Payment.objects.filter(pk=payment.pk).update(wanted="void" if status == "voided" else "capture")
            settle_payments()
        if status == "refunded":
            follow_orders([cancelled(payment)])
            settle_payments()
        payment.refresh_from_db()
        return payment

    return settle_until


def break_books(sql: str, *values: object) -> None:
    with open_books() as books:
        assert books.execute(sql, values).rowcount == 1


@pytest.fixture
def names(till: Till) -> Any:
    """Return a function that expects exactly one difference, which names the payment, its order and `parts`."""

    def expect(payment: Payment, *parts: str) -> None:
        differences = list(find_money_differences())
        assert len(differences) == 1, differences
        for part in (str(payment.pk), str(payment.order_id), *parts):
            assert part in differences[0]

    return expect


def test_payments_in_every_state_agree_with_the_books(till: Till) -> None:
    for status in ("authorized", "declined", "captured", "voided", "voided before", "refunded"):
        till(status)
    assert list(find_money_differences()) == []


@pytest.mark.parametrize(
    ("status", "operation"),
    [
        ("authorized", "authorize"),
        ("captured", "capture"),
        ("voided", "void"),
        ("refunded", "refund:1"),
    ],
)
def test_a_deleted_ledger_entry_is_named(till: Till, status: str, operation: str) -> None:
    payment = till(status)
    till("captured")
    break_books("delete from sandbox_gateway.ledger where idempotency_key = %s", f"{payment.pk}:{operation}")
    differences = list(find_money_differences())
    assert any(
        f"payment {payment.pk} of order {payment.order_id} is {status}" in line
        and f"0 entries for its {operation.replace(':', ' ')}" in line
        for line in differences
    )


def test_a_missing_declined_entry_is_no_difference(till: Till) -> None:
    """Stripe does not keep requests that it rejects as invalid, for example with an unknown token."""
    payment = till("declined")
    break_books("delete from sandbox_gateway.ledger where idempotency_key = %s", f"{payment.pk}:authorize")
    assert list(find_money_differences()) == []


def test_payments_are_compared_in_several_chunks(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CHUNK", 2)
    payments = [till("captured") for _ in range(5)]
    assert list(find_money_differences()) == []
    break_books("delete from sandbox_gateway.ledger where idempotency_key = %s", f"{payments[4].pk}:capture")
    break_books("delete from sandbox_gateway.ledger where idempotency_key = %s", f"{payments[0].pk}:capture")
    assert len(list(find_money_differences())) == 2


def test_a_changed_amount_is_named(till: Till, names: Any) -> None:
    payment = till("authorized")
    till("captured")
    break_books("update sandbox_gateway.ledger set amount = 4000 where idempotency_key = %s", f"{payment.pk}:authorize")
    names(payment, "over 4999 EUR", "authorize of 4000 EUR")


def test_a_changed_currency_is_named(till: Till, names: Any) -> None:
    payment = till("declined")
    break_books(
        "update sandbox_gateway.ledger set currency = 'USD' where idempotency_key = %s", f"{payment.pk}:authorize"
    )
    names(payment, "over 4999 EUR", "4999 USD")


def test_a_capture_that_payments_does_not_know_is_named(till: Till, names: Any) -> None:
    payment = till("authorized")
    SandboxGateway().capture(f"{payment.pk}:capture", payment.gateway_reference, 4999)
    names(payment, "is authorized, but the gateway has booked: approved capture of 4999 EUR")


def test_a_second_charge_under_another_key_is_named(till: Till) -> None:
    payment = till("captured")
    SandboxGateway().authorize(f"{payment.pk}:authorize:again", "tok_ok", 4999, "EUR")
    differences = " ".join(find_money_differences())
    assert (
        f"order {payment.order_id} is captured, but the gateway has 2 entries for its authorize, not one" in differences
    )


def test_more_captured_than_authorized_is_named(till: Till) -> None:
    payment = till("captured")
    break_books("update sandbox_gateway.ledger set amount = 9999 where idempotency_key = %s", f"{payment.pk}:capture")
    assert "9999 is captured of 4999 authorized" in " ".join(find_money_differences())


def test_more_refunded_than_captured_is_named(till: Till) -> None:
    payment = till("refunded")
    break_books("update sandbox_gateway.ledger set amount = 9999 where idempotency_key = %s", f"{payment.pk}:refund:1")
    assert "9999 is refunded of 4999 captured" in " ".join(find_money_differences())


def test_a_refund_that_payments_does_not_know_is_named(till: Till, names: Any) -> None:
    payment = till("captured")
    SandboxGateway().refund("by hand", payment.gateway_reference, 100)
    names(payment, "100 EUR of payment", "was refunded at the gateway as by hand, not by the shop")
    SandboxGateway().refund(f"{payment.pk}:refund:1", payment.gateway_reference, 200)
    assert f"payment {payment.pk} of order {payment.order_id} is captured, but the gateway has booked: approved" in (
        " ".join(find_money_differences())
    )


def test_sums_that_were_changed_by_hand_are_named(till: Till, names: Any) -> None:
    payment = till("captured")
    Payment.objects.filter(pk=payment.pk).update(refunded_amount=100)
    names(payment, "100 is refunded, while its refunds add up to 0")
    Payment.objects.filter(pk=payment.pk).update(refunded_amount=0, captured_amount=4000)
    names(payment, "4000 is captured of 4999")


def test_a_charge_without_a_payment_is_named(books: Any) -> None:
    stranger = uuid4()
    SandboxGateway().authorize(f"{stranger}:authorize", "tok_ok", 700, "EUR")
    SandboxGateway().authorize("made up", "tok_ok", 800, "EUR")
    differences = " ".join(find_money_differences())
    assert f"authorize of 700 EUR belongs to payment {stranger}, which does not exist" in differences
    assert "authorize of 800 EUR has the key 'made up', which names no payment" in differences


def test_a_payment_set_to_captured_by_hand_is_named(till: Till) -> None:
    payment = till("authorized")
    Payment.objects.filter(pk=payment.pk).update(status="captured")
    assert f"payment {payment.pk} of order {payment.order_id} is captured, but the gateway has 0 entries" in " ".join(
        find_money_differences()
    )


def test_payments_in_flight_are_counted_and_not_compared(till: Till, place: Any) -> None:
    till("captured")
    moving = till("authorized")
    place()
    Payment.objects.filter(pk=moving.pk).update(wanted="capture")
    SandboxGateway().capture(f"{moving.pk}:capture", moving.gateway_reference, 4999)
    assert list(find_money_differences()) == []
    assert find_money_in_flight() == 2


def test_a_payment_that_changes_during_the_comparison_is_not_different(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = till("authorized")
    read_ledger = SandboxGateway.read_ledger

    def capture_then_read(gateway: SandboxGateway, since: Any) -> Any:
        Payment.objects.filter(pk=payment.pk).update(wanted="capture")
        settle_payments()
        return read_ledger(gateway, since)

    monkeypatch.setattr(SandboxGateway, "read_ledger", capture_then_read)
    assert list(find_money_differences()) == []
