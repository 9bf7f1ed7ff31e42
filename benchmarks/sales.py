"""Milliseconds of each panel of the sales pages, and of the whole page, at the facts of about 10 million events.

    python -m benchmarks.sales [--orders 300000] [--runs 3] [--viewers 20] [--json]

The benchmark starts a separate PostgreSQL and web server. SQL generates the facts of 30 days: per order 10 visits, a
row for each minute, kind and currency, and for each hour and product.

- Each panel, and the page with its template, is read without any kept figure, by a connection with the web's options.
- viewers: the processor time of the web's processes and of PostgreSQL, in per cent of one core, while the viewers fetch
  the page of a day over HTTP every five seconds, as the page does.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psutil

from benchmarks.stage import connect_as, running
from tests.client import call
from tests.running_shop import RunningShop

PAGE = "/control/sales/"
#: Seconds between two fetches of a viewer.
EVERY = 5.0

_FILL = """
insert into analytics_orderfact (order_id, placed_at, reserved_at, authorized_at, declined_at,
    confirmed_at, captured_at, shipped_at, delivered_at, cancelled_at, reason, decline_reason,
    currency, discount, shipping, tax, total, units,
    refunded, nth_order, first_order_month, first_this_month, channel)
select gen_random_uuid(), at, at + '1 s', case when not bad then at + '1 s'::interval end,
       case when bad then at + '1 s'::interval end, case when not bad then at + random() * '9 s'::interval end,
       case when not bad then at + random() * '20 s'::interval end,
       case when not bad then at + '9 h'::interval end, null,
       case when bad then at + '2 s'::interval end, case when bad then 'payment_declined' end,
       case when bad then 'expired_card' end, 'EUR', 0, 0, 0, 1000 + number %% 9000, 2, 0, 1 + number %% 3,
       to_char(at, 'YYYY-MM'), number %% 3 = 0, 'web'
from (select number, number %% 25 = 0 as bad, now() - random() * '30 days'::interval as at
      from generate_series(1, %(orders)s) number order by at) placed;
insert into analytics_minute (minute, kind, currency, count, units, amount)
select minute, kind,
       case when kind = any('{placed,confirmed,cancelled,captured,refunded,declined}') then 'EUR' else '' end,
       7, 14, 9000
from generate_series(date_trunc('minute', now() - '60 days'::interval), now(), '1 minute') minute
cross join unnest('{placed,reserved,authorized,declined,confirmed,captured,refunded,shipped,delivered,cancelled,viewed,
    cart_changed,checkout_started,checkout_completed}'::text[]) kind;
insert into analytics_arrival (minute, arrived, count)
select minute, minute, 230
from generate_series(date_trunc('minute', now() - '60 days'::interval), now(), '1 minute') minute;
insert into analytics_producthour (hour, sku, currency, views, ordered_units, ordered_amount)
select hour, 'SKU-' || sku, currency, 90, 3, 3000
from generate_series(date_trunc('hour', now() - '60 days'::interval), now(), '1 hour') hour, generate_series(1, 80) sku,
     unnest('{EUR,""}'::text[]) currency;
insert into analytics_soldout (sku, began_at, ended_at)
select 'SKU-' || n, now() - n * '1 day'::interval, now() - n * '1 day'::interval + '9 h'::interval
from generate_series(1, 30) n;
insert into analytics_session (day, visitor, began_at, ended_at, events, views, carts, checkouts, orders, cart_units,
    cart_amount, currency)
select (at at time zone 'UTC')::date, gen_random_uuid(), at, at + '5 min', 1 + number %% 6, 1 + number %% 4,
       (number %% 3 = 0)::int, (number %% 6 = 0)::int, (number %% 10 = 0)::int, number %% 2,
       case when number %% 6 = 0 then 5000 end, case when number %% 6 = 0 then 'EUR' else '' end
from (select number, now() - random() * '30 days'::interval as at
      from generate_series(1, %(orders)s * 10) number order by at) visit;
"""


def fill(orders: int) -> None:
    """Generate the facts of 30 days."""
    from django.db import connection, transaction
    from django.utils import timezone

    from analytics.facts.days import prepare_days
    from analytics.sessions import sum_days
    from analytics.sums import sum_past_days

    days = [timezone.now() - timedelta(days=day) for day in range(-1, 32)]
    with transaction.atomic(), connection.cursor() as cursor:
        prepare_days(cursor, "public", "analytics_session", days)
        prepare_days(cursor, "public", "analytics_activity", days)
    with connection.cursor() as cursor:
        cursor.execute("set statement_timeout = '10min'")
        for statement in _FILL.split(";\n")[:-1]:
            cursor.execute(statement, {"orders": orders} if "%(orders)s" in statement else None)
    sum_days()  # as the hourly task does
    sum_past_days()
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")


def measure(runs: int, client: Any) -> list[dict[str, Any]]:
    """Return the median of the milliseconds of each panel and span, and of the page."""
    from django.utils import timezone

    from analytics.panels.catalogue import PANELS
    from analytics.panels.completion import read_complete
    from analytics.panels.period import SPANS, choose_period

    rows = []
    for span in SPANS:
        period, complete = choose_period(span, timezone.now()), read_complete()
        for name, panel in PANELS.items():
            taken = measure_cold(partial(panel.read, period, complete), runs)
            rows.append({"span": span, "panel": name, "ms": taken})
        taken = measure_cold(partial(client.get, f"{PAGE}?span={span}"), runs)
        rows.append({"span": span, "panel": "page", "ms": taken})
    return rows


def measure_cold(read: Callable[[], Any], runs: int) -> float:
    """Return the median of the milliseconds of `read` without kept figures, after one call that warms up PostgreSQL."""
    from analytics.panels.reading import forget

    taken = []
    for _ in range(1 + runs):
        forget()
        began = time.perf_counter()
        read()
        taken.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(taken[1:]), 1)


def measure_viewers(shop: RunningShop, client: Any, viewers: int) -> float:
    """Return the per cent of one core that `viewers` of the page use in the web's processes and PostgreSQL."""
    headers = {"Cookie": "; ".join(f"{name}={one.value}" for name, one in client.cookies.items())}

    def fetch_for(seconds: float) -> None:
        began = time.monotonic()
        for number in range(int(viewers * seconds / EVERY)):
            time.sleep(max(0.0, began + number * EVERY / viewers - time.monotonic()))
            assert call("GET", f"{shop.base_url}{PAGE}", headers=headers).status == 200
        time.sleep(max(0.0, began + seconds - time.monotonic()))

    fetch_for(EVERY)
    began, before = time.monotonic(), read_cpu(shop)
    fetch_for(4 * EVERY)
    return 100 * (read_cpu(shop) - before) / (time.monotonic() - began)


def read_cpu(shop: RunningShop) -> float:
    """Return the processor seconds of the web's processes and of PostgreSQL."""
    parts = json.loads((shop.var_dir / "run" / "parts.json").read_text())
    seconds = 0.0
    for name in ("web", "postgres"):
        process = psutil.Process(parts[name]["pid"])
        members = [process, *process.children(recursive=True)]
        # The server's time includes its ended sessions.
        seconds += sum(sum(one.cpu_times()[: 4 if one is process else 2]) for one in members)
    return seconds


def log_in() -> Any:
    """Return a client whose user may see everything."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("benchmark"))
    return client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=300_000, help="orders in 30 days; ten visits each")
    parser.add_argument("--runs", type=int, default=3, help="number of runs; the table shows the median")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--viewers", type=int, default=20, help="viewers of the page; 0 skips this measurement")
    options = parser.parse_args()
    with running("postgres", "web") as shop:
        fill(options.orders)
        connect_as("granian")
        client = log_in()
        rows = measure(options.runs, client)
        share = measure_viewers(shop, client, options.viewers) if options.viewers else None
    for row in rows:
        print(f"{row['span']:<6} {row['panel']:<14} {row['ms']:>8.1f} ms")
    if share is not None:
        print(f"{options.viewers} viewers use {share:.1f} % of a core")
    if options.json:
        print(json.dumps({"orders": options.orders, "panels": rows, "viewers_percent": share}))


if __name__ == "__main__":
    main()
