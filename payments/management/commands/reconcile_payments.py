"""Compare the payments with the gateway's ledger and open cases for differences. Celery beat does so every hour."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.gateways.protocol import GatewayUnavailable
from payments.reconciliation.cases import AlreadyReconciling, reconcile
from payments.reconciliation.comparison import WINDOW_DAYS

MOST_DAYS = 3650


class Command(BaseCommand):
    help = "Compare the payments with the gateway's ledger and open cases. The exit status is 1 if any case is open."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --days, --all and --json."""
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument(
            "--days", type=int, default=WINDOW_DAYS, help="Compare the payments of the last DAYS days (%(default)s)."
        )
        scope.add_argument("--all", action="store_const", const=None, dest="days", help="Compare all payments.")
        parser.add_argument("--json", action="store_true", help="Print the open cases as JSON.")

    def handle(self, *args: Any, days: int | None, **options: Any) -> None:
        """Reconcile and print the open cases."""
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days {days} is not between 1 and {MOST_DAYS}: use --all for all payments")
        try:
            found = reconcile(days)
        except AlreadyReconciling as error:
            raise CommandError(f"{error}: try again later") from error
        except GatewayUnavailable as error:
            raise CommandError(f"the payment gateway's ledger can't be read: {error}") from error
        if options["json"]:
            cases = [
                {
                    **{"id": case.pk, "kind": case.kind, "description": case.description},
                    "payment": str(case.payment_id) if case.payment_id else None,
                    "opened_at": case.opened_at.isoformat(),
                }
                for case in found.open
            ]
            self.stdout.write(json.dumps({"opened": found.opened, "closed": found.closed, "open": cases}, indent=2))
        else:
            for case in found.open:
                self.stdout.write(self.style.ERROR(f"case {case.pk}: {case.kind}: {case.description}"))
            self.stdout.write(f"{found.opened} opened, {found.closed} closed, {len(found.open)} open")
        if found.open:
            raise SystemExit(1)
