from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from relay.process.loop import stop_on_signals


class Command(BaseCommand):
    help = "Run the lab's process, which carries out the runs that /lab/ and `manage.py lab run` want. LAB=1 starts it."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait for runs until SIGTERM."""
        if not settings.LAB:
            raise CommandError("the lab is off: set LAB=1")
        from shop.lab.runner import Laboratory

        Laboratory(stop_on_signals()).work()
