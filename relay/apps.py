from django.apps import AppConfig

from relay.conf import configuration
from relay.publisher.topics import build_decoders


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        """Let no process start with settings that are wrong, and build in one thread what many will use."""
        configuration()
        build_decoders()
