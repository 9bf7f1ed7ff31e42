"""The folder of the archive. A file appears in it under its name only when it is complete and stored on the disk."""

import os
from datetime import date
from pathlib import Path

from django.conf import settings

from relay.operations import Refused

#: Names of the files; a file that is being written ends with NEW and does not match.
PATTERN, NEW = "activity-*.parquet", ".new"


class NotArchived(Refused):
    """A day of activity is not in the archive, or its file is wrong. The day is not dropped."""


def is_on() -> bool:
    """Return whether days are archived before they are dropped."""
    return bool(settings.ANALYTICS_ARCHIVE_DIR)


def open_folder() -> Path:
    """Return the folder. It is never created: a missing mount would otherwise receive files that get lost.

    :raises NotArchived: no folder is set, or it does not exist.
    """
    if not settings.ANALYTICS_ARCHIVE_DIR:
        raise NotArchived("ANALYTICS_ARCHIVE_DIR is not set: this process does not know where the archive is")
    folder = Path(settings.ANALYTICS_ARCHIVE_DIR)
    if not folder.is_dir():
        raise NotArchived(f"ANALYTICS_ARCHIVE_DIR={str(folder)!r} is not a folder: create or mount it")
    return folder


def name_file(day: date, part: int) -> str:
    """Return the name of the file of `part` of `day`; part 1 has no number in its name."""
    return f"activity-{day}{f'-{part}' if part > 1 else ''}.parquet"


def rename(new: Path, name: str) -> None:
    """Give the file `new` its final `name`, and store the change on the disk."""
    new.replace(new.with_name(name))
    folder = os.open(new.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
