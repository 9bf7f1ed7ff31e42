"""Staff refund a part of a payment, with amount and reason, exactly once. Staff close cases of a reconciliation."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from payments.gateways.sandbox import SandboxGateway
from payments.models import Case, Payment, Refund
from payments.reconciliation.cases import reconcile
from payments.tasks import settle_payments
from shop.audit.models import StaffAction

pytestmark = pytest.mark.django_db
PAYMENTS, CASES = "admin:payments_payment_changelist", "admin:payments_case_changelist"


def ask_page(client: Client, payment: Payment) -> str:
    answer = client.post(reverse(PAYMENTS), {"action": "give_back", "_selected_action": [str(payment.pk)]})
    return answer.content.decode()


def give_back(client: Client, payment: Payment, amount: str, reason: str = "scratched", number: int = 1) -> Any:
    form = {"action": "give_back", "_selected_action": [str(payment.pk)], "give_back": "1"}
    return client.post(reverse(PAYMENTS), {**form, "amount": amount, "reason": reason, "number": str(number)})


def test_staff_refund_a_part_with_a_reason(admin_client: Client, captured: Payment, books: Any) -> None:
    page = ask_page(admin_client, captured)
    assert "€50.00 captured, €50.00 can be refunded" in page
    number = re.search(r'name="number" value="(\d+)"', page)
    assert number and number[1] == "1"
    assert give_back(admin_client, captured, "12.50").status_code == 302
    settle_payments()
    refund = Refund.objects.get()
    assert (refund.amount, refund.status, refund.reason) == (1250, "done", "scratched")
    assert refund.requested_by == "admin:admin"
    assert books()[2:] == [("refund", "approved", 1250)]
    page = admin_client.get(reverse("admin:payments_payment_change", args=[captured.pk])).content.decode()
    assert "scratched" in page and "admin:admin" in page
    assert "€37.50 can be refunded" in ask_page(admin_client, captured)


def test_money_that_went_back_at_the_gateway_can_not_be_refunded_again(
    admin_client: Client, captured: Payment, books: Any
) -> None:
    SandboxGateway().refund("by hand", captured.gateway_reference, 4000)
    reconcile()
    assert "€10.00 can be refunded" in ask_page(admin_client, captured)
    page = give_back(admin_client, captured, "10.01", number=2).content.decode()
    assert "1001 can&#x27;t be refunded: 1000 of the captured 5000 is left" in page


def test_a_disputed_payment_is_not_refunded(admin_client: Client, captured: Payment) -> None:
    Case.objects.create(payment=captured, kind="disputed", description="d", fingerprint="f")
    page = give_back(admin_client, captured, "10").content.decode()
    assert "the customer disputes this payment at the bank: close its case first" in page
    assert not Refund.objects.exists()


def test_staff_repeat_a_failed_capture(admin_client: Client, captured: Payment) -> None:
    form = {"action": "capture_again", "_selected_action": [str(captured.pk)]}
    page = admin_client.post(reverse(PAYMENTS), form, follow=True).content.decode()
    assert "is captured and wants nothing: only a failed capture repeats" in page
    Payment.objects.update(status="failed", captured_amount=0)
    page = admin_client.post(reverse(PAYMENTS), form, follow=True).content.decode()
    assert f"The capture of payment {captured.pk} will be repeated." in page
    captured.refresh_from_db()
    assert (captured.status, captured.wanted) == ("failed", "capture")
    assert StaffAction.objects.get().action == "capture again"


def test_a_form_submitted_twice_refunds_once(admin_client: Client, captured: Payment) -> None:
    give_back(admin_client, captured, "10")
    page = give_back(admin_client, captured, "10").content.decode()
    assert "refund 1 exists already" in page
    assert Refund.objects.count() == 1


@pytest.mark.parametrize(
    ("amount", "complaint"),
    [
        ("50.01", "5001 can&#x27;t be refunded: 5000 of the captured 5000 is left"),
        ("0", "0 can&#x27;t be refunded"),
        ("-1", "is not an amount in EUR"),
        ("1.234", "is not an amount in EUR"),
        ("ten", "is not an amount in EUR"),
        ("", "is not an amount in EUR"),
    ],
)
def test_a_wrong_amount_is_named_and_the_input_is_kept(
    admin_client: Client, captured: Payment, amount: str, complaint: str
) -> None:
    page = give_back(admin_client, captured, amount).content.decode()
    assert complaint in page
    assert f'value="{amount}"' in page
    assert 'value="scratched"' in page
    assert not Refund.objects.exists()


def test_a_refund_without_a_reason_is_refused(admin_client: Client, captured: Payment) -> None:
    assert "needs a reason" in give_back(admin_client, captured, "1", reason=" ").content.decode()


def test_each_refund_is_of_one_payment(admin_client: Client, captured: Payment, place: Any) -> None:
    chosen = [str(captured.pk), str(place().pk)]
    answer = admin_client.post(reverse(PAYMENTS), {"action": "give_back", "_selected_action": chosen}, follow=True)
    assert "Select exactly one payment" in answer.content.decode()


def test_staff_with_read_access_only_cannot_refund(client: Client, captured: Payment, django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("looker", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    client.force_login(user)
    give_back(client, captured, "10")
    assert not Refund.objects.exists()


def test_staff_close_a_case_with_a_note(admin_client: Client, captured: Payment) -> None:
    case = Case.objects.create(payment=captured, kind="differs", description="it differs", fingerprint="f")
    assert "it differs" in admin_client.get(reverse(CASES)).content.decode()
    form = {"action": "close", "_selected_action": [str(case.pk)]}
    assert "Close these cases" in admin_client.post(reverse(CASES), form).content.decode()
    admin_client.post(reverse(CASES), {**form, "reason": "paid by bank transfer", "form_number": str(uuid4())})
    case.refresh_from_db()
    assert (case.closed_by, case.note) == ("admin:admin", "paid by bank transfer")
    assert case.closed_at


def test_a_closing_form_that_is_sent_twice_does_not_close_a_case_that_was_reopened(
    admin_client: Client, captured: Payment
) -> None:
    case = Case.objects.create(payment=captured, kind="differs", description="it differs", fingerprint="f")
    form = {"action": "close", "_selected_action": [str(case.pk)]}
    (number,) = re.findall(
        r'name="form_number" value="([^"]+)"', admin_client.post(reverse(CASES), form).content.decode()
    )
    sent = {**form, "reason": "paid by bank transfer", "form_number": number}
    assert "Closed: 1." in admin_client.post(reverse(CASES), sent, follow=True).content.decode()
    Case.objects.update(closed_at=None)  # as the next comparison does if the difference still exists
    again = admin_client.post(reverse(CASES), sent, follow=True).content.decode()
    assert "This form was already sent: admin:admin did close" in again
    assert "Closed:" not in again
    assert Case.objects.get().closed_at is None
    assert StaffAction.objects.count() == 1


@pytest.mark.parametrize("permission", ["change_payment", "refund_payment"])
def test_a_refund_needs_its_own_permission(
    client: Client, captured: Payment, django_user_model: Any, permission: str
) -> None:
    user = django_user_model.objects.create_user("refunder", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_payment", permission]))
    client.force_login(user)
    give_back(client, captured, "10")
    assert Refund.objects.count() == (permission == "refund_payment")


@pytest.mark.parametrize("number", ["", "one", "-1", "²", "99999999999"])
def test_a_refund_form_without_a_valid_number_is_refused(admin_client: Client, captured: Payment, number: str) -> None:
    form = {"action": "give_back", "_selected_action": [str(captured.pk)], "give_back": "1"}
    answer = admin_client.post(reverse(PAYMENTS), {**form, "amount": "1", "reason": "r", "number": number})
    assert "open the form again" in answer.content.decode()
    assert "the number of the refund is" in answer.content.decode()
    assert not Refund.objects.exists()
