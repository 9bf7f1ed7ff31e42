from django.apps import AppConfig

from relay.conf import configuration


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        """Let no process start with settings that are wrong."""
        configuration()
