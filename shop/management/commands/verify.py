import json
import threading
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from payments.gateways.protocol import GatewayUnavailable
from relay import BrokerUnavailable
from shop.management.verification import verify

#: Seconds between two lines of progress on stderr.
TELL_SECONDS = 5.0


class Progress:
    """Prints the current step and the elapsed seconds every TELL_SECONDS, in a separate thread."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.step = "starting"
        self._write = write
        self._began = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def tell(self, step: str) -> None:
        """Set the current step."""
        self.step = step

    def _repeat(self) -> None:
        while not self._done.wait(TELL_SECONDS):
            self._write(f"{time.monotonic() - self._began:4.0f} s: {self.step}")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()


class Command(BaseCommand):
    help = "Check that orders, outbox, Kafka, stock, money, messages and sales add up. Exit 1 if anything differs."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --wait and --json."""
        parser.add_argument(
            "--wait",
            type=float,
            default=0.0,
            metavar="S",
            help="Wait at most S seconds until no event, payment or message is in flight.",
        )
        parser.add_argument("--json", action="store_true", help="Print the report as JSON.")

    def handle(self, *args: Any, wait: float, **options: Any) -> None:
        """Verify the shop and print the report."""
        if wait < 0:
            raise CommandError(f"--wait {wait} is negative: give a number of seconds from 0")
        progress = Progress(lambda line: self.stderr.write(line, self.style.NOTICE))
        try:
            with progress:
                report = verify(wait_seconds=wait, tell=progress.tell)
        except BrokerUnavailable as error:
            raise CommandError(f"Kafka does not answer, so its log can't be checked: {error}") from error
        except Error as error:
            raise CommandError(f"the database can't be read while {progress.step}: {error}") from error
        except GatewayUnavailable as error:
            raise CommandError(f"the payment gateway's ledger can't be read: {error}") from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), indent=2))
        else:
            for part, count in report.counts.items():
                self.stdout.write(f"{count:>8}  {part.replace('_', ' ')}")
            for part, count in report.in_flight.items():
                self.stdout.write(f"{count:>8}  in flight: {part.replace('_', ' ')}")
            for difference in report.differences:
                self.stdout.write(self.style.ERROR(f"broken: {difference.rule}: {difference.difference}"))
            if not report.differences:
                self.stdout.write(self.style.SUCCESS("no difference found"))
        if report.differences:
            raise SystemExit(1)
