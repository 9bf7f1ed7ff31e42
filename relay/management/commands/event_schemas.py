import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay.conf import configuration
from relay.schemas.asyncapi import make_document
from relay.schemas.files import SchemaFolder, UnableToDescribeEvent


class Command(BaseCommand):
    help = "Check that the schema files and asyncapi.json agree with the event classes, or write missing files."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --check and --write; one of them is required."""
        action = parser.add_mutually_exclusive_group(required=True)
        action.add_argument("--check", action="store_true", help="Write nothing; exit 1 and print all faults.")
        action.add_argument(
            "--write", action="store_true", help="Write missing schema files, and write asyncapi.json again."
        )

    def handle(self, *args: Any, write: bool, **options: Any) -> None:
        """Write missing files if `write` is set, then check all files."""
        folder = Path(configuration().contract_folder)
        document = json.dumps(make_document(), indent=2, ensure_ascii=False) + "\n"
        try:
            if write:
                for event_type in SchemaFolder(folder / "events").write_missing():
                    self.stdout.write(f"wrote {event_type}.json")
                (folder / "asyncapi.json").write_text(document, "utf-8")
            faults = self._check(folder, document)
        except UnableToDescribeEvent as error:
            raise CommandError(str(error)) from error
        if faults:
            raise CommandError("\n".join(faults))
        self.stdout.write("the schemas and asyncapi.json agree with the event classes")

    def _check(self, folder: Path, document: str) -> list[str]:
        schemas = SchemaFolder(folder / "events")
        for (old, new), changes in schemas.compare_versions().items():
            harm = ", ".join(str(change) for change in changes if not change.old_reads_new)
            self.stdout.write(
                f"a reader of {old} could not read {new}: {harm}" if harm else f"{new} can be read as {old}"
            )
        faults = schemas.find_faults()
        asyncapi = folder / "asyncapi.json"
        if not asyncapi.exists() or asyncapi.read_text("utf-8") != document:
            faults.append("asyncapi.json is not up to date: run manage.py event_schemas --write")
        return faults
