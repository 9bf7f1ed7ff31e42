"""The admin pages of payments show payments and attempts and do not let staff change them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from payments.tasks import settle_payments

pytestmark = pytest.mark.django_db


def test_staff_see_a_payment_with_its_attempts(admin_client: Client, place: Any) -> None:
    payment = place()
    settle_payments()
    page = admin_client.get(reverse("admin:payments_payment_changelist")).content.decode()
    assert str(payment.order_id) in page
    assert "€49.99" in page
    page = admin_client.get(reverse("admin:payments_payment_change", args=[payment.pk])).content.decode()
    assert f"{payment.pk}:authorize" in page
    assert "tok_ok" not in page
    assert 'name="_save"' not in page


@pytest.mark.parametrize("page", ["add", "delete"])
def test_nobody_adds_or_deletes_a_payment_by_hand(admin_client: Client, place: Any, page: str) -> None:
    args = [] if page == "add" else [place().pk]
    assert admin_client.get(reverse(f"admin:payments_payment_{page}", args=args)).status_code == 403


def test_a_posted_change_is_refused(admin_client: Client, place: Any) -> None:
    payment = place()
    url = reverse("admin:payments_payment_change", args=[payment.pk])
    assert admin_client.post(url, {"status": "captured"}).status_code == 403
    payment.refresh_from_db()
    assert payment.status == "pending"
