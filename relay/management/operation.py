"""What the operators' commands share: JSON or lines, a dry run, who and why, and errors that say what to do."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error

from relay.database import connection
from relay.operations import Refused
from relay.operations.audit import name_actor
from relay.process.broker import BrokerUnavailable


class Operation(BaseCommand):
    """A command that exits 0 when done, 1 with a reason when refused, 2 when it was called in a wrong way."""

    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def add_change_arguments(self, parser: CommandParser) -> None:
        """Add --dry-run, --reason and --actor, for what changes anything."""
        parser.add_argument("--dry-run", action="store_true", help="Tell what would be done, and do nothing.")
        parser.add_argument("--reason", default="", metavar="TEXT", help="Why; it stands in the audit.")
        parser.add_argument("--actor", default=name_actor(), metavar="NAME", help="Who, in the audit: %(default)s.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Operate, and turn what goes wrong into a message without a traceback."""
        try:
            self.operate(**options)
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        except BrokerUnavailable as error:
            raise CommandError(f"Kafka is not to be reached: {error}") from error
        except Error as error:
            raise CommandError(f"the database could not do it: {str(error).strip()}") from error

    def operate(self, **options: Any) -> None:
        """Do it; overridden by each command.

        :raises Refused: it can't be done.
        """
        raise NotImplementedError

    def take_time(self) -> None:
        """Let this command's statements run as long as they need: nobody waits for them."""
        with connection.cursor() as cursor:
            cursor.execute("set statement_timeout = 0")

    def tell(self, data: Any, lines: Iterable[str], *, as_json: bool) -> None:
        """Print `data` (dataclasses allowed anywhere) as JSON, or `lines` for people."""
        if as_json:
            self.stdout.write(json.dumps(data, default=_encode, indent=2))
        else:
            for line in lines:
                self.stdout.write(line)


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return DjangoJSONEncoder().default(value)


def tell_age(seconds: float) -> str:
    """Write an age as people read it, for example 12 s, 5 min, 3 h or 2 d."""
    for limit, unit, size in [(120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)]:
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
