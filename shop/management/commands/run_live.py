import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Serve live updates of orders as server-sent events until SIGTERM or Ctrl-C. Several processes may run."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options for the address."""
        parser.add_argument("--host", default=settings.HOST, help="the address to listen on (default: HOST)")
        parser.add_argument("--port", type=int, default=settings.LIVE_PORT, help="the port (default: LIVE_PORT)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until the process receives a signal."""
        from shop.live.server import serve

        asyncio.run(serve(options["host"], options["port"]))
