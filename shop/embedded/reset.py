"""Deletion of the files of `manage.py up`: the parts' data, their logs and the supervisor's run files."""

import shutil
from pathlib import Path

from django.conf import settings

from shop.embedded import postgres, run_files
from shop.embedded.processes import ProcessRecord

_OURS = ("postgres", "kafka", "valkey", "flink", "log", "run", "static", "secure")


def remove_data() -> list[Path]:
    """End the processes of a killed supervisor, delete all files of the shop, and return the deleted paths.

    :raises AnotherSupervisor: a supervisor uses VAR_DIR.
    """
    folder = Path(settings.VAR_DIR)
    if not folder.exists():
        return []
    lock = run_files.Lock()
    ProcessRecord(run_files.PROCESSES).end_leftovers(postgres.find_processes)
    doomed = [*(folder / name for name in _OURS), *folder.glob("celerybeat*"), postgres.find_data_folder()]
    removed = [path for path in dict.fromkeys(doomed) if path.exists()]
    for path in removed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    lock.release()
    if not any(folder.iterdir()):
        folder.rmdir()
    return removed
