"""The consumers of analytics: the facts, and the products that are bought together."""

from analytics.facts.consumer import declare_consumer
from analytics.pairs.consumer import declare_pairs

consumer = declare_consumer()
bought_together = declare_pairs()
