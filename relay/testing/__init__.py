"""A test kit that replaces Kafka: list published events and deliver them to consumers, in one transaction.

It works inside a TestCase and with pytest-django's `db`: it needs no commit and keeps no state between tests. See
docs/relay.md.
"""

from relay.testing.delivery import DeliveryLoops, deliver, parked_keys, redrive
from relay.testing.published import assert_nothing_published, assert_published, capture_published, published

__all__ = [
    "DeliveryLoops",
    "assert_nothing_published",
    "assert_published",
    "capture_published",
    "deliver",
    "parked_keys",
    "published",
    "redrive",
]
