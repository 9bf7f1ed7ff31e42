from contextlib import suppress

from django.apps import AppConfig

from relay.conf import configuration
from relay.publisher.topics import build_decoders


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        """Let no process start with settings that are wrong, and build in one thread what many will use."""
        from relay import checks  # noqa: F401 - needs the models, and registers itself

        configuration()
        with suppress(ImportError):  # reported as relay.E001; the relay and consumers do not start
            build_decoders()
