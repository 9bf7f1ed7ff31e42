from typing import Any

from django.core.management.base import CommandError, CommandParser

from relay.management.operation import Operation
from relay.operations import cluster
from relay.operations.grants import list_grants


class Command(Operation):
    help = "Let the Kafka users of the relay and the consumers use their topics and groups, and nothing else."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --dry-run and --user."""
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Print the permissions without creating them.")
        parser.add_argument(
            "--user",
            action="append",
            default=[],
            metavar="PROCESS=USER",
            help="The Kafka user of the relay or of a consumer. By default it has the name of the process.",
        )

    def operate(self, **options: Any) -> None:
        """Print the grants and create them."""
        users = dict(_split(pair) for pair in options["user"])
        grants = list_grants(users)
        if not options["dry_run"]:
            cluster.allow(grants)
        lines = [f"{grant.user} may {grant.operation} {grant.kind} {grant.name}" for grant in grants]
        self.print_result({"grants": grants}, lines, as_json=options["json"])


def _split(pair: str) -> tuple[str, str]:
    process, _, user = pair.partition("=")
    if not (process and user):
        raise CommandError(f"--user {pair!r} is not PROCESS=USER, for example relay=shop-relay")
    return process, user
