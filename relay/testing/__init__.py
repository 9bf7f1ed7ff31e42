"""What a test needs instead of Kafka: what was published, and its delivery to consumers, in one transaction.

Everything works inside a TestCase and pytest's `db`: nothing has to be committed, and nothing is remembered between
two tests. See docs/relay.md.
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
