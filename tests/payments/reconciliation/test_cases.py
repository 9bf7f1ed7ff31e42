"""`reconcile_payments` opens one case for each difference and closes it when the difference is gone."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from payments.gateways.protocol import GatewayUnavailable
from payments.gateways.sandbox import SandboxGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Case, Payment, ReconcilingTurn, Refund
from payments.reconciliation import cases, ledger
from payments.reconciliation.cases import AlreadyReconciling, close_case, reconcile, take_turn
from payments.reconciliation.ledger import TookTooLong
from payments.refunds import refund_part
from payments.sandbox.books import open_books
from payments.tasks import reconcile_payments, settle_payments
from shop.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture
def captured(place: Any, confirmed: Any) -> Payment:
    """Return a captured payment that agrees with the gateway's ledger."""
    payment: Payment = place()
    settle_payments()
    follow_orders([confirmed(payment)])
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


def test_the_command_prints_json(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    code, told = run("--json")
    [case] = json.loads(told)["open"]
    assert (code, case["kind"], case["payment"]) == (1, "differs", str(captured.pk))


def test_an_entry_of_no_payment_is_a_case(books: Any) -> None:
    SandboxGateway().authorize("made up", "tok_ok", 800, "EUR")
    [case] = reconcile().open
    assert (case.kind, case.payment) == ("unknown_entry", None)
    assert "authorize of 800 EUR has the key 'made up'" in case.description


def test_a_payment_that_waits_too_long_is_a_case(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stay_silent(*args: object) -> None:
        raise GatewayUnavailable("no route to host")

    payment = place()
    monkeypatch.setattr(SandboxGateway, "authorize", stay_silent)
    settle_payments()
    assert reconcile().open == []
    Attempt.objects.update(started_at=Now() - timedelta(minutes=16))
    [case] = reconcile().open
    assert case.kind == "stuck"
    what = f"payment {payment.pk} of order {payment.order_id} waits for its authorize"
    assert case.description == f"{what}: GatewayUnavailable: no route to host"


def test_a_declined_refund_is_a_case_until_staff_close_it(captured: Payment) -> None:
    Refund.objects.create(
        payment=captured, number=1, amount=700, reason="r", requested_by="ann", status="declined", answer="card closed"
    )
    declined = [case for case in reconcile().open if case.kind == "refund_declined"]
    assert [case.description for case in declined] == ["refund 1 of 700 EUR was declined: card closed"]
    close_case(declined[0].pk, by="ann", note="paid by bank transfer")
    assert [case for case in reconcile().open if case.kind == "refund_declined"] == []


def test_an_unreadable_ledger_closes_no_case(captured: Payment, settings: Any) -> None:
    set_booked_amount(captured, 4000)
    run()
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    with pytest.raises(CommandError, match="ledger can't be read"):
        call_command("reconcile_payments")
    assert Case.objects.filter(closed_at=None).count() == 1


@pytest.fixture
def old(captured: Payment) -> Payment:
    """Return a captured payment that is forty days old, as are its ledger entries."""
    made = int((datetime.now(UTC) - timedelta(days=40)).timestamp() * 1000)
    old_id = UUID(int=made << 80 | captured.pk.int & (1 << 80) - 1)
    Attempt.objects.all().delete()
    Payment.objects.filter(pk=captured.pk).update(id=old_id, created_at=Now() - timedelta(days=40))
    with open_books() as books:
        books.execute(
            "update sandbox_gateway.ledger set created_at = now() - interval '40 days',"
            " idempotency_key = replace(idempotency_key, %s, %s)",
            [str(captured.pk), str(old_id)],
        )
    return Payment.objects.get(pk=old_id)


def delete_entry(key: str) -> None:
    with open_books() as books:
        assert books.execute("delete from sandbox_gateway.ledger where idempotency_key = %s", [key]).rowcount == 1


def refund_a_part(payment: Payment) -> None:
    refund_part(payment, 700, reason="scratched", requested_by="ann")
    settle_payments()


def test_beat_reconciles_every_hour(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    schedule = app.conf.beat_schedule["reconcile-payments"]
    assert (schedule["task"], schedule["schedule"]) == (reconcile_payments.name, 3600)
    reconcile_payments()
    assert Case.objects.get().payment == captured


def test_the_task_compares_the_whole_window_once_a_day(captured: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int | None] = []
    compare = cases.compare_and_record

    def note_days(days: int | None, *others: Any) -> Any:
        compared.append(days)
        return compare(days, *others)

    monkeypatch.setattr(cases, "compare_and_record", note_days)
    reconcile_payments()
    reconcile_payments()
    ReconcilingTurn.objects.update(thorough_at=Now() - timedelta(hours=25))
    reconcile_payments()
    assert compared == [35, 3, 35]


def test_only_one_process_reconciles_at_a_time(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    with take_turn(60):
        reconcile_payments()
        with pytest.raises(AlreadyReconciling):
            reconcile()
        with pytest.raises(CommandError, match="at the moment: try again later"):
            run()
        assert not Case.objects.exists()
    assert reconcile().opened == 1


def test_an_expired_turn_can_be_taken_and_its_former_holder_records_nothing(
    captured: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_booked_amount(captured, 4000)
    read_ledger = SandboxGateway.read_ledger

    def sleep_then_read(gateway: SandboxGateway, since: Any) -> Any:
        ReconcilingTurn.objects.update(until=Now() - timedelta(seconds=1))
        return read_ledger(gateway, since)

    with monkeypatch.context() as patch:
        patch.setattr(SandboxGateway, "read_ledger", sleep_then_read)
        with pytest.raises(TookTooLong, match="ended during the comparison"):
            reconcile()
    assert not Case.objects.exists()
    assert reconcile().opened == 1


def test_a_reconciliation_that_takes_too_long_changes_no_case(captured: Payment) -> None:
    set_booked_amount(captured, 4000)
    reconcile()
    set_booked_amount(captured, 4999)
    with pytest.raises(TookTooLong, match="compare fewer days"):
        reconcile(seconds=0)
    assert Case.objects.filter(closed_at=None).count() == 1


def test_no_case_is_closed_when_there_are_too_many_findings(
    place: Any, captured: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "MOST_CASES", 2)
    set_booked_amount(captured, 9999)
    assert reconcile().opened == 2, "expected a case for the amount and a case for the sum"
    set_booked_amount(captured, 4999)
    for amount in (1, 2, 3):
        SandboxGateway().authorize(f"made up {amount}", "tok_ok", amount, "EUR")
    found = reconcile()
    assert (found.opened, found.closed) == (2, 0)


def test_a_payment_that_is_older_than_the_window_is_compared_only_with_all(old: Payment) -> None:
    assert reconcile().open == []
    assert reconcile(days=None).open == []
    delete_entry(f"{old.pk}:capture")
    assert reconcile().open == []
    assert run("--all")[0] == 1
    assert reconcile().closed == 0
    assert Case.objects.filter(closed_at=None).count() > 0


def test_recent_changes_of_an_old_payment_are_compared(old: Payment) -> None:
    refund_a_part(old)
    assert reconcile().open == []
    delete_entry(f"{old.pk}:refund:1")
    [case] = reconcile().open
    assert case.description.endswith("the gateway has 0 entries for its refund 1, not one")


def test_a_recent_entry_of_an_old_payment_that_only_the_gateway_has_is_found(old: Payment) -> None:
    SandboxGateway().refund(f"{old.pk}:refund:1", old.gateway_reference, 200)
    [case] = reconcile().open
    assert case.description.endswith("the gateway has booked: approved refund of 200 EUR")


def test_payments_are_compared_across_the_windows_edge(captured: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment that is slightly older than the window has all its entries inside the window, without a difference."""
    make_scope = ledger.make_scope

    def begin_after_it(days: int | None, seconds: float) -> ledger.Scope:
        scope = make_scope(days, seconds)
        return ledger.Scope(scope.began, scope.began, scope.until)

    monkeypatch.setattr(cases, "make_scope", begin_after_it)
    assert reconcile().open == []
    set_booked_amount(captured, 4000)
    assert reconcile().opened == 1


def test_a_case_about_a_payment_in_flight_is_neither_opened_nor_closed(captured: Payment) -> None:
    Payment.objects.filter(pk=captured.pk).update(wanted="refund")
    set_booked_amount(captured, 4000)
    assert reconcile().open == []
    Payment.objects.filter(pk=captured.pk).update(wanted="nothing")
    assert reconcile().opened == 1
    Payment.objects.filter(pk=captured.pk).update(wanted="refund")
    set_booked_amount(captured, 4999)
    assert reconcile().closed == 0
    Payment.objects.filter(pk=captured.pk).update(wanted="nothing")
    assert reconcile().closed == 1


@pytest.mark.parametrize("days", ["0", "-1", "9999999"])
def test_an_invalid_number_of_days_is_refused(books: Any, days: str) -> None:
    with pytest.raises(CommandError, match="is not between 1 and 3650"):
        call_command("reconcile_payments", f"--days={days}")
