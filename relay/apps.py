from contextlib import suppress

from django.apps import AppConfig

from relay.conf import configuration
from relay.publisher.topics import build_decoders


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        """Check the settings, and build the decoders before threads use them."""
        from relay import checks  # noqa: F401 - registers the checks; needs the models

        configuration()
        with suppress(ImportError):  # reported as relay.E001; the relay and consumers do not start
            build_decoders()
