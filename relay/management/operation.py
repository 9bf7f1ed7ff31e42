"""The base class of operators' commands: output as JSON or text, dry runs, audit options and error messages."""

import dataclasses
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from relay.database import connection
from relay.operations import Refused
from relay.operations.audit import name_actor
from relay.process.broker import BrokerUnavailable


class Operation(BaseCommand):
    """A command. Exit codes: 0 success, 1 refused (with a reason), 2 wrong arguments."""

    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def add_change_arguments(self, parser: CommandParser) -> None:
        """Add --dry-run, --reason and --actor, for commands that change data."""
        parser.add_argument("--dry-run", action="store_true", help="Print the changes without making them.")
        parser.add_argument("--reason", default="", metavar="TEXT", help="The reason, which is stored in the audit.")
        parser.add_argument(
            "--actor", default=name_actor(), metavar="NAME", help="Your name for the audit. Default: %(default)s."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Call `operate`, and turn expected errors into messages without a traceback."""
        try:
            self.operate(**options)
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        except BrokerUnavailable as error:
            raise CommandError(f"Kafka can't be reached: {error}") from error
        except Error as error:
            raise CommandError(f"the database reported an error: {str(error).strip()}") from error

    def operate(self, **options: Any) -> None:
        """Run the command. Each subclass overrides this method.

        :raises Refused: the operation can't be done.
        """
        raise NotImplementedError

    def take_time(self) -> None:
        """Remove the statement timeout for this command."""
        with connection.cursor() as cursor:
            cursor.execute("set statement_timeout = 0")

    def print_result(self, data: Any, lines: Iterable[str], *, as_json: bool) -> None:
        """Print `data`, which may contain dataclasses, as JSON; or print `lines`."""
        if as_json:
            self.stdout.write(json.dumps(data, default=_encode, indent=2))
        else:
            for line in lines:
                self.stdout.write(line)


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return DjangoJSONEncoder().default(value)


def format_age(seconds: float) -> str:
    """Return an age in `seconds` as a short text, for example 12 s, 5 min, 3 h or 2 d."""
    for limit, unit, size in [(120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)]:
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def read_time(text: str) -> datetime:
    """Return the time in `text`. A time without a zone belongs to the project's TIME_ZONE."""
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError(text)
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
