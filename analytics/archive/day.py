"""The way of a day from its partition to a verified file. A crash after any step loses nothing: the next run continues.

1. The rows are copied to a temporary table in one snapshot, and the partition is compared with the seal of the day.
2. They are written under a temporary name and stored on the disk.
3. The file is read again; its rows and checksum are compared with the temporary table.
4. `ArchivedDay` records the file. Only a recorded file may be replaced.
5. The file is renamed.
6. One transaction locks the partition against new rows, compares it with step 1, drops it and marks the record.

Late rows of a dropped day are a further part, with the rows that no earlier part has.
"""

from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

from django.db import connection
from django.utils import timezone

from analytics.archive.content import (
    EARLIER,
    Content,
    empty_table,
    list_rows,
    load_file,
    long_transaction,
    sum_partition,
    take_rows,
)
from analytics.archive.files import write_file
from analytics.archive.folder import NEW, NotArchived, name_file, open_folder, rename
from analytics.checksum import use_utc
from analytics.facts.days import name_partition
from analytics.generation import TABLES
from analytics.models import ArchivedDay
from relay.partitions import brief_locks, retry_while_busy
from relay.process.failpoint import failpoint

#: Repetitions when late events arrive while a day is archived.
ATTEMPTS = 3
_SEAL = "select rows, checksum, restated_rows from {schema}.{seals} where name = 'activity' and day = %s"


class Part(NamedTuple):
    """A part of a day: `seen` is the content of the whole partition, `content` the one of the file."""

    day: date
    number: int
    seen: Content
    content: Content

    @property
    def file(self) -> str:
        """The name of the file."""
        return name_file(self.day, self.number)


def archive_day(schema: str, day: date) -> None:
    """Write the activity of `day` to the archive, verify the file, and drop the partition in `schema`.

    :raises NotArchived: the file can't be written or is wrong, or the day differs from its seal. The partition stays.
    :raises OperationalError: a table stayed locked. A repetition is safe.
    """
    folder = open_folder()
    for _ in range(ATTEMPTS):
        part = take_part(folder, schema, day)
        if part.content.rows:
            store_part(folder, part)
        if retry_while_busy(partial(drop_day, schema, part)):
            failpoint("archive.dropped")
            return
    raise NotArchived(f"{day}: events of the day arrive while it is archived. The next run tries again")


def take_part(folder: Path, schema: str, day: date) -> Part:
    """Copy the rows of the partition that no earlier part has to a temporary table.

    :raises NotArchived: the partition differs from the seal, or the file of an earlier part is wrong.
    """
    empty_table(EARLIER)
    earlier = list(ArchivedDay.objects.filter(day=day).exclude(dropped_at=None).order_by("part"))
    for one in earlier:
        demand_content(folder / one.file, Content(one.rows, one.checksum), into=EARLIER)
    with long_transaction() as cursor:
        seen = sum_partition(cursor, schema, day)
        cursor.execute(_SEAL.format(schema=schema, seals=TABLES["day_seal"]), [day])
        rows, checksum, restated = cursor.fetchone()
        if not earlier and (seen.rows < rows if restated else seen != (rows, checksum)):
            raise NotArchived(
                f"{day}: the table has {seen}, but the seal says {Content(rows, checksum)}. The day is kept: find the"
                " reason with `manage.py analytics recount`"
            )
        return Part(day, len(earlier) + 1, seen, take_rows(cursor, schema, day))


def store_part(folder: Path, part: Part) -> None:
    """Write the file of `part`, verify and record it, and give it its name.

    :raises NotArchived: it can't be written, differs from the table, or a foreign file has its name.
    """
    known, path = ArchivedDay.objects.filter(day=part.day, part=part.number), folder / part.file
    if path.exists() and not known.exists():
        raise NotArchived(
            f"{path} exists, but this database has not written it: another shop uses the folder, or the database was"
            " restored from a backup. Move the file to another folder"
        )
    new = path.with_name(path.name + NEW)
    about = {"day": f"{part.day}", "part": f"{part.number}", "rows": f"{part.content.rows}"}
    write_file(new, list_rows(), {**about, "checksum": f"{part.content.checksum}"})
    failpoint("archive.written")
    demand_content(new, part.content)
    failpoint("archive.verified")
    values = {"file": part.file, "rows": part.content.rows, "checksum": part.content.checksum}
    values |= {"bytes": new.stat().st_size, "archived_at": timezone.now()}
    ArchivedDay.objects.update_or_create(day=part.day, part=part.number, defaults=values)
    failpoint("archive.recorded")
    rename(new, part.file)
    failpoint("archive.renamed")


def demand_content(path: Path, expected: Content, *, into: str = "") -> None:
    """Read the file `path` completely and check its content. The temporary table `into` receives the rows.

    :raises NotArchived: the file is missing or damaged, or its content differs.
    """
    if (found := load_file(path, into=into)) != expected:
        raise NotArchived(f"{path} has {found}, but {expected} were archived: restore the file from a backup")


def drop_day(schema: str, part: Part) -> bool:
    """Drop the partition, and mark its part. Return False if the partition has changed since it was archived."""
    name = f"{schema}.{name_partition(TABLES['activity'], part.day)}"
    with brief_locks(), connection.cursor() as cursor:
        use_utc(cursor)
        cursor.execute(f"lock table {name} in share mode")  # late events of this day wait
        if sum_partition(cursor, schema, part.day) != part.seen:
            return False
        cursor.execute(f"drop table {name}")
        ArchivedDay.objects.filter(day=part.day, part=part.number).update(dropped_at=timezone.now())
        failpoint("archive.dropping")
    return True
