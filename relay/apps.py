from django.apps import AppConfig

from relay.conf import configuration
from relay.publisher.topics import build_decoders


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        """Check the settings, and build the decoders before threads use them."""
        configuration()
        build_decoders()
