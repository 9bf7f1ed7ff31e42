"""The invented history: it fills every panel, it repeats with its seed, and the recount still finds no difference."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from analytics.models import DaySeal, OrderFact, Session, SoldOut
from analytics.panels.catalogue import PANELS
from analytics.panels.completion import read_complete
from analytics.panels.period import choose_period
from analytics.panels.reading import forget
from analytics.recount.comparison import recount
from shop.catalogue.csv_file import read_catalogue, save_catalogue
from shop.settings import BASE_DIR
from tests.analytics.conftest import add, placed

SMALL: dict[str, Any] = {"days": 20, "orders_per_day": 25}


@pytest.fixture
def catalogue(db: None) -> None:
    save_catalogue(read_catalogue(BASE_DIR / "shop/catalogue/data/catalogue.csv"))
    forget()


def test_a_small_month_fills_the_panels_and_the_recount_is_clean(catalogue: None) -> None:
    call_command("demo_data", **SMALL)
    orders = OrderFact.objects.count()
    assert 0.6 < orders / (20 * 25) < 1.6
    assert Session.objects.count() > 5 * orders
    assert SoldOut.objects.filter(ended_at=None).exists()
    assert DaySeal.objects.exists()
    assert set(OrderFact.objects.values_list("channel", flat=True)) == {"web", "api"}
    period, complete = choose_period("month", timezone.now()), read_complete()
    empty = [name for name, panel in PANELS.items() if not panel.read(period, complete)]
    assert set(empty) <= {"rising", "anomalies"}
    assert recount().differences == []
    # A fact without an event after the loaded history is still a difference.
    add(placed(timezone.now() + timedelta(hours=2), UUID(int=1), {"A": (1, 9)}))
    assert any("order_fact" in difference for difference in recount().differences)


def test_history_is_not_mixed_with_real_figures_by_mistake(catalogue: None, settings: Any) -> None:
    with pytest.raises(CommandError, match="--days 0: give a number from 1 to 60"):
        call_command("demo_data", days=0)
    call_command("demo_data", days=1, orders_per_day=5)
    with pytest.raises(CommandError, match=r"already has \d+ orders .* --force"):
        call_command("demo_data", days=1)
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="PRODUCTION is set"):
        call_command("demo_data", days=1, force=True)
