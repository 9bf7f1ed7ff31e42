"""Delete all data of the local shop."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from shop.embedded.reset import remove_data
from shop.embedded.run_files import AnotherSupervisor


class Command(BaseCommand):
    """Refuses while `manage.py up` runs. Data of external services stay unchanged."""

    help = "Delete the data of the parts that `manage.py up` runs on this machine, and their logs."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            removed = remove_data()
        except AnotherSupervisor as error:
            raise CommandError(f"nothing was removed: {error}") from error
        for path in removed:
            self.stdout.write(f"removed {path}")
        if not removed:
            self.stdout.write("there is no data to remove")
