"""The files of the archive, their verification, and the days that were dropped without a file."""

from collections.abc import Iterable, Iterator
from datetime import date

from django.db import connection

from analytics.archive.content import Content
from analytics.archive.day import demand_content
from analytics.archive.folder import PATTERN, NotArchived, is_on, open_folder
from analytics.generation import TABLES, list_partitions
from analytics.models import ArchivedDay

_SEALED = "select day, rows from {schema}.{seals} where name = 'activity' and rows > 0 order by day"


def list_files() -> list[ArchivedDay]:
    """Return the parts of dropped days, sorted by day."""
    return list(ArchivedDay.objects.exclude(dropped_at=None).order_by("day", "part"))


def list_archived_days() -> set[date]:
    """Return the days that were dropped and are in the archive."""
    return set(ArchivedDay.objects.exclude(dropped_at=None).values_list("day", flat=True))


def read_sealed_rows(schema: str) -> dict[date, int]:
    """Return the number of activities that each sealed day had, without empty days."""
    with connection.cursor() as cursor:
        cursor.execute(_SEALED.format(schema=schema, seals=TABLES["day_seal"]))
        return dict(cursor.fetchall())


def list_lost_days(schema: str) -> list[date]:
    """Return the sealed days that were dropped and are not in the archive."""
    with connection.cursor() as cursor:
        kept = {name[-8:] for name in list_partitions(cursor, schema, TABLES["activity"])}
    archived = list_archived_days()
    return [day for day in read_sealed_rows(schema) if day not in archived and f"{day:%Y%m%d}" not in kept]


def describe_days(days: list[date]) -> str:
    """Return the number of `days`, with the first and the last one."""
    return f"{len(days)} {'day' if len(days) == 1 else 'days'}" + (f" from {days[0]} to {days[-1]}" if days else "")


def find_problems(files: Iterable[ArchivedDay]) -> Iterator[tuple[ArchivedDay, str]]:
    """Read each of `files` completely, and yield each one that is missing or wrong with a sentence.

    :raises NotArchived: the folder does not exist.
    """
    folder = open_folder()
    for one in files:
        try:
            demand_content(folder / one.file, Content(one.rows, one.checksum))
        except NotArchived as problem:
            yield one, str(problem)


def list_unknown() -> list[str]:
    """Return the names of files in the folder that this database has not written.

    :raises NotArchived: the folder does not exist.
    """
    known = set(ArchivedDay.objects.values_list("file", flat=True))
    return sorted(path.name for path in open_folder().glob(PATTERN) if path.name not in known)


def describe_archive(files: list[ArchivedDay], waiting: list[date], schema: str) -> list[str]:
    """Return lines about the archive as a whole. `waiting` are the days that are old enough to be dropped."""
    lines = []
    if not is_on():
        lines.append("ANALYTICS_ARCHIVE_DIR is not set: days are dropped without an archive")
    if files:
        rows, size = sum(one.rows for one in files), sum(one.bytes for one in files) / 1e6
        lines.append(f"archived until {files[-1].day}: {len(files)} files, {rows:,} rows, {size:,.1f} MB")
    if waiting:
        lines.append(f"{describe_days(waiting)} wait to be dropped; `--write` does it now, or names the reason")
    if lost := list_lost_days(schema):
        lines.append(f"dropped without an archive: {describe_days(lost)}")
    if is_on() and (unknown := list_unknown()):
        lines.append(f"not written by this database: {', '.join(unknown)}")
    return lines or ["no day is old enough to be dropped"]
