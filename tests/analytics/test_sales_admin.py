"""The admin pages of the counters are read-only."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from analytics.models import ActivityMinute, Sale, SalesMinute
from tests.analytics.conftest import Shop

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MODELS = {"sale": Sale, "salesminute": SalesMinute, "activityminute": ActivityMinute}


@pytest.fixture
def counts(db: None, shop: Shop) -> None:
    shop.place(NOON, [2], 123_450)
    shop.view(NOON)


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_details_open_for_staff(admin_client: Client, counts: None, model: str) -> None:
    row = MODELS[model]._default_manager.get()
    changelist = admin_client.get(reverse(f"admin:analytics_{model}_changelist") + "?minute__year=2026")
    detail = admin_client.get(reverse(f"admin:analytics_{model}_change", args=[row.pk]))
    assert (changelist.status_code, detail.status_code) == (200, 200)
    assert b"May 4, 2026" in changelist.content


def test_revenue_is_shown_as_an_amount(admin_client: Client, counts: None) -> None:
    page = admin_client.get(reverse("admin:analytics_salesminute_changelist"))
    assert "€1,234.50" in page.content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_every_edit_is_refused(admin_client: Client, counts: None, model: str) -> None:
    row = MODELS[model]._default_manager.get()
    addresses = [
        reverse(f"admin:analytics_{model}_add"),
        reverse(f"admin:analytics_{model}_change", args=[row.pk]),
        reverse(f"admin:analytics_{model}_delete", args=[row.pk]),
    ]
    assert [admin_client.post(address, {"post": "yes"}).status_code for address in addresses] == [403] * 3
