"""The search for the products that are bought together with a product."""

from django.db import connection

_COMPANIONS = """
select other from analytics_productpair where sku = %s order by orders desc, other limit %s
"""


def list_companions(sku: str, limit: int) -> list[str]:
    """Return the SKUs of at most `limit` products that were most often ordered with `sku`, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(_COMPANIONS, [sku, limit])
        return [other for (other,) in cursor.fetchall()]
