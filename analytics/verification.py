"""The verification of counters against the stored sales. Differences are reported as sentences and not repaired."""

from collections.abc import Iterator

from django.db import connection


def find_sales_differences() -> Iterator[str]:
    """Yield a sentence for each minute, kind and currency whose counter differs from the sum of its sales.

    A single statement sees one consistent snapshot, so this may run while orders arrive.
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
            f"sales {kind} at {minute:%Y-%m-%d %H:%M} in {currency}: counted {describe_counts(*counts[:3])}, "
            f"but the sales add up to {describe_counts(*counts[3:])}"
        )


def describe_counts(orders: int, units: int, revenue: int) -> str:
    """Return the values of a counter as text."""
    return f"{orders} orders, {units} units, revenue {revenue}"
