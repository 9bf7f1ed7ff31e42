"""The consumers that RELAY["CONSUMERS"] names."""

from django.utils.module_loading import import_string

from relay.conf import configuration
from relay.consumer.consumer import Consumer


def all_consumers() -> list[Consumer]:
    """Every consumer of RELAY["CONSUMERS"]."""
    return [import_string(path) for path in configuration().consumers]
