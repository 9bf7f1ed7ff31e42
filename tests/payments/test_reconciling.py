"""reconcile_payments opens a case for each difference, once, and closes what is gone."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from payments.gateway import GatewayUnavailable
from payments.handlers import want_captures
from payments.models import Attempt, Case, Payment, Refund
from payments.reconciling import close_case, reconcile
from payments.sandbox.books import open_books
from payments.sandbox.client import SandboxGateway
from payments.tasks import settle_payments

pytestmark = pytest.mark.django_db


@pytest.fixture
def captured(place: Any, confirmed: Any) -> Payment:
    """A captured payment that agrees with the gateway's ledger."""
    payment: Payment = place()
    settle_payments()
    want_captures([confirmed(payment)])
    settle_payments()
    payment.refresh_from_db()
    return payment


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("reconcile_payments", *arguments, stdout=out, no_color=True)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def set_booked_amount(payment: Payment, amount: int) -> None:
    with open_books() as books:
        books.execute(
            "update sandbox_gateway.ledger set amount = %s where idempotency_key = %s",
            [amount, f"{payment.pk}:capture"],
        )


def test_ledgers_that_agree_open_nothing(captured: Payment) -> None:
    assert run() == (0, "0 opened, 0 closed, 0 open\n")
    assert not Case.objects.exists()


def test_a_difference_opens_one_case_however_often_it_is_found(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    code, told = run()
    assert code == 1
    assert f"differs: payment {captured.pk} of order {captured.order_id} is captured, but over 4999 EUR" in told
    assert "1 opened, 0 closed, 1 open" in told
    assert "0 opened, 0 closed, 1 open" in run()[1]
    assert Case.objects.get().payment == captured


def test_a_case_is_closed_when_its_difference_is_gone_and_opened_again_when_it_is_back(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    run()
    set_booked_amount(captured, 4999)
    assert run() == (0, "0 opened, 1 closed, 0 open\n")
    case = Case.objects.get()
    assert case.closed_by == "reconcile_payments"
    close_case(case.pk, by="ann", note="too late")
    case.refresh_from_db()
    assert case.closed_by == "reconcile_payments"
    set_booked_amount(captured, 4000)
    assert reconcile().opened == 1
    case.refresh_from_db()
    assert case.closed_at is None


def test_closing_a_case_does_not_hide_a_difference_that_stays(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    run()
    close_case(Case.objects.get().pk, by="ann", note="looks fine to me")
    assert reconcile().opened == 1


def test_it_speaks_json(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    code, told = run("--json")
    [case] = json.loads(told)["open"]
    assert (code, case["kind"], case["payment"]) == (1, "differs", str(captured.pk))


def test_an_entry_of_no_payment_is_a_case(books: Any) -> None:
    SandboxGateway().authorize("made up", "tok_ok", 800, "EUR")
    [case] = reconcile().open
    assert (case.kind, case.payment) == ("unknown_entry", None)
    assert "authorize of 800 EUR carries the key 'made up'" in case.description


def test_a_payment_that_waits_for_long_is_a_case(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stay_silent(*args: object) -> None:
        raise GatewayUnavailable("no route to host")

    payment = place()
    monkeypatch.setattr(SandboxGateway, "authorize", stay_silent)
    settle_payments()
    assert reconcile().open == []
    Attempt.objects.update(started_at=Now() - timedelta(minutes=16))
    [case] = reconcile().open
    assert case.kind == "stuck"
    assert case.description == f"payment {payment.pk} of order {payment.order_id} waits for its authorize"


def test_a_declined_refund_is_a_case_until_somebody_has_dealt_with_it(captured: Payment) -> None:
    Refund.objects.create(
        payment=captured, number=1, amount=700, reason="r", requested_by="ann", status="declined", answer="card closed"
    )
    declined = [case for case in reconcile().open if case.kind == "refund_declined"]
    assert [case.description for case in declined] == ["refund 1 of 700 EUR was declined: card closed"]
    close_case(declined[0].pk, by="ann", note="paid by bank transfer")
    assert [case for case in reconcile().open if case.kind == "refund_declined"] == []


def test_books_that_cannot_be_read_close_nothing(captured: Payment, settings: Any) -> None:
    set_booked_amount(captured, 4000)
    run()
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    with pytest.raises(CommandError, match="books can't be read"):
        call_command("reconcile_payments")
    assert Case.objects.filter(closed_at=None).count() == 1
