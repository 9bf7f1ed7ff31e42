"""The consumers of RELAY["CONSUMERS"]."""

from django.utils.module_loading import import_string

from relay.conf import configuration
from relay.consumer.consumer import Consumer


def all_consumers() -> list[Consumer]:
    """Import and return every consumer of RELAY["CONSUMERS"]."""
    return [import_string(path) for path in configuration().consumers]
