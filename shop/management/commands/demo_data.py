"""Fill analytics with an invented month, so that the sales pages have something to show."""

import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from shop.catalogue.models import Product
from shop.management.demo.assortment import Article
from shop.management.demo.curve import Calendar, plan_calendar
from shop.management.demo.loading import count_facts, find_end, finish, load_day
from shop.management.demo.visits import History

MOST_DAYS = 60


class Command(BaseCommand):
    """Refused in production, and without --force in a shop that has orders or visits."""

    help = (
        "Fill analytics with an invented history of visits, orders, declines, stock-outs and refunds, for"
        " /control/sales/. The events pass through the handlers of analytics only: the shop's orders, stock, payments"
        " and messages are not changed, and `verify` still finds no difference. Refused in production. `manage.py"
        " reset` deletes the history; a rebuild of analytics keeps it with --keep-orders."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=int, default=30, help=f"length of the history, 1 to {MOST_DAYS} (default: 30)"
        )
        parser.add_argument("--seed", type=int, default=1, help="seed of all random choices (default: 1)")
        parser.add_argument(
            "--orders-per-day", type=int, default=300, help="mean number of orders per day, 1 to 5,000 (default: 300)"
        )
        parser.add_argument(
            "--force", action="store_true", help="add the history although the shop already has orders or visits"
        )

    def handle(self, *args: Any, days: int, seed: int, orders_per_day: int, force: bool, **options: Any) -> None:
        articles = self._check(days, orders_per_day, force)
        calendar = plan_calendar(find_end(), days)
        self.stdout.write(
            f"Adding about {orders_per_day * days:,} orders and their visits from {calendar.begin:%Y-%m-%d} to"
            f" {calendar.end:%Y-%m-%d %H:%M} UTC to analytics (seed {seed})."
        )
        began = time.monotonic()
        self._load(History(articles, calendar, orders_per_day, seed), calendar)
        orders, activities = count_facts()
        self.stdout.write(
            f"Done after {time.monotonic() - began:.0f} s: analytics has {orders:,} orders and {activities:,}"
            " activities of visitors. Open /control/sales/."
        )

    def _check(self, days: int, orders_per_day: int, force: bool) -> list[Article]:
        """Return the products. Refuse what can't be done."""
        if settings.PRODUCTION:
            raise CommandError("PRODUCTION is set: invented history would spoil the real figures")
        if not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days {days}: give a number from 1 to {MOST_DAYS}")
        if not 1 <= orders_per_day <= 5000:
            raise CommandError(f"--orders-per-day {orders_per_day}: give a number from 1 to 5000")
        orders, activities = count_facts()
        if (orders or activities) and not force:
            raise CommandError(
                f"analytics already has {orders:,} orders and {activities:,} activities of visitors. The invented"
                " history would be mixed with these; add --force to do that"
            )
        articles = [Article(*row) for row in Product.objects.on_sale().values_list("sku", "price", "currency")]
        if len(articles) < 2 or len({article.currency for article in articles}) != 1:
            raise CommandError("the catalogue needs at least two products of one currency: run `manage.py set_up`")
        return articles

    def _load(self, history: History, calendar: Calendar) -> None:
        count = 0
        for end, events in history.list_days():
            load_day(events)
            count += len(events)
            share = (end - calendar.begin) / (calendar.end - calendar.begin)
            self.stdout.write(f"{(end - timedelta(seconds=1)):%Y-%m-%d}  {count:>9,} events  {share:>4.0%}")
        self.stdout.write("Computing the visits and sealing the complete days.")
        finish(calendar)
