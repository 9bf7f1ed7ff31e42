"""Kafka's jars: fetched once per user, kept in a folder named after its contents, never used unless every sum is right.

The coordinates and SHA-256 sums are pinned in kafka_jars.sha256, so nothing is resolved: what is listed is fetched.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jgo.maven import MavenContext

PINNED = Path(__file__).with_name("kafka_jars.sha256")
_DOWNLOADS_AT_ONCE = 8


class JarsUnusable(Exception):
    """The jars could not be fetched, or one of them is not what its pinned sum says."""


def read_pinned() -> dict[str, str]:
    """Return the pinned SHA-256 sum of every jar by its Maven coordinate, `group:artifact:version`."""
    return {jar: sha256 for sha256, jar in (line.split() for line in PINNED.read_text().splitlines())}


def provide_jars() -> list[Path]:
    """Return the jars in a fixed order, fetching them first when this user has none yet.

    :raises JarsUnusable: one can't be fetched, or is not the one that was pinned.
    """
    pinned, folder = read_pinned(), _name_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent):
        if not folder.exists():
            _fetch(pinned, folder)
    wrong = [jar for jar, sha256 in pinned.items() if not _is_right(folder / _file_name(jar), sha256)]
    if wrong:
        what = f"{wrong[0]} and {len(wrong) - 1} more" if len(wrong) > 1 else wrong[0]
        raise JarsUnusable(
            f"{what} in {folder}: missing, or not what {PINNED.name} pins by its SHA-256 sum. "
            "Delete that folder to have all of them fetched again"
        )
    return [folder / _file_name(jar) for jar in sorted(pinned)]


def are_there() -> bool:
    """Whether nothing has to be fetched."""
    return _name_folder().exists()


def _name_folder() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "shop" / f"kafka-{hashlib.sha256(PINNED.read_bytes()).hexdigest()[:16]}"


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Let one process at a time fetch; the others find what it fetched."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(pinned: dict[str, str], folder: Path) -> None:
    """Fetch into a folder beside `folder`, check every sum, and only then give it its name."""
    from jgo.maven import MavenContext  # slow to import, and needed once per machine

    print(f"fetching Kafka, {len(pinned)} jars, 44 MB, into {folder.parent}", flush=True)
    unfinished = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder.parent))
    try:
        repository = MavenContext(repo_cache=unfinished / "maven", local_repos=[], timeout=60)
        (unfinished / "jars").mkdir()
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            fetches = [pool.submit(_fetch_jar, repository, jar, pinned[jar], unfinished / "jars") for jar in pinned]
            for done, fetch in enumerate(as_completed(fetches), start=1):
                fetch.result()
                if done % 8 == 0 or done == len(fetches):
                    print(f"fetched {done} of {len(fetches)} jars", flush=True)
        (unfinished / "jars").rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch_jar(repository: "MavenContext", jar: str, sha256: str, folder: Path) -> None:
    group, artifact, version = jar.split(":")
    try:
        path = repository.project(group, artifact).at_version(version).artifact(packaging="jar").resolve()
    except Exception as error:
        raise JarsUnusable(f"{jar} could not be fetched: {error}") from error
    if not _is_right(path, sha256):
        raise JarsUnusable(f"{jar} was fetched, but its SHA-256 sum is not the one pinned in {PINNED.name}: not used")
    path.replace(folder / _file_name(jar))


def _is_right(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _file_name(jar: str) -> str:
    _group, artifact, version = jar.split(":")
    return f"{artifact}-{version}.jar"
