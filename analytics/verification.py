"""Are the counters right? Each difference is told in one sentence; none is repaired."""

from collections.abc import Iterator

from django.db import connection


def find_sales_differences() -> Iterator[str]:
    """Yield a sentence for every minute, kind and currency whose counter differs from the sum of its sales.

    It is one statement, so it looks at one moment and may run while orders come in.
    """
    with connection.cursor() as cursor:
        cursor.execute("""
            select minute, kind, currency,
                   coalesce(counted.orders, 0), coalesce(counted.units, 0), coalesce(counted.revenue, 0),
                   coalesce(sold.orders, 0), coalesce(sold.units, 0), coalesce(sold.revenue, 0)
            from analytics_salesminute as counted
            full join (
                select minute, kind, currency,
                       count(*) as orders, sum(units) as units, sum(revenue)::bigint as revenue
                from analytics_sale group by minute, kind, currency
            ) as sold using (minute, kind, currency)
            where (counted.orders, counted.units, counted.revenue)
                  is distinct from (sold.orders, sold.units, sold.revenue)
            order by minute, kind, currency
        """)
        rows = cursor.fetchall()
    for minute, kind, currency, *counts in rows:
        yield (
            f"sales {kind} at {minute:%Y-%m-%d %H:%M} in {currency}: counted {tell_counts(*counts[:3])}, "
            f"but the sales add up to {tell_counts(*counts[3:])}"
        )


def tell_counts(orders: int, units: int, revenue: int) -> str:
    """Say a counter in words."""
    return f"{orders} orders, {units} units, revenue {revenue}"
