import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from shop.embedded.flink import prepare_job
from shop.embedded.jars import FLINK, JarsUnusable


class Command(BaseCommand):
    """Needed if Flink runs in containers or on machines of your own. `manage.py up` does the same automatically."""

    help = "Create the tables of Flink's job, and write its script and the jars that Flink itself does not contain."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder", type=Path, help="for job.sql and the checkpoints; all of Flink's machines share it"
        )
        parser.add_argument("jars", type=Path, help="for the jars; a folder below lib/ of each machine's Flink")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        checkpoints, newest = prepare_job(folder.absolute())
        try:
            paths = [path for jar, path in FLINK.provide_named().items() if not jar.startswith("pypi:")]
        except JarsUnusable as error:
            raise CommandError(str(error)) from error
        options["jars"].mkdir(parents=True, exist_ok=True)
        for path in paths:
            shutil.copy(path, options["jars"])
        # Flink's containers run as another user. Only they and this job have the folder.
        (folder / "job.sql").chmod(0o644)
        for shared in (folder / "checkpoints", checkpoints):
            shared.chmod(0o777)
        begin = f"continues from {newest}" if newest else "begins with Kafka's first record"
        self.stdout.write(f"{len(paths)} jars are in {options['jars']}, and the job {begin}")
