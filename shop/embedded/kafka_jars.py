"""Kafka's jars: downloaded once per user into a cache folder, and used only if all SHA-256 sums are correct.

kafka_jars.sha256 pins the Maven coordinates and the sums of all jars. No other jar is resolved or downloaded. The name
of the cache folder contains the hash of that file.
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
    """The jars can't be downloaded, or a jar does not match its pinned SHA-256 sum."""


def read_pinned() -> dict[str, str]:
    """Return the pinned SHA-256 sum of each jar by its Maven coordinate, `group:artifact:version`."""
    return {jar: sha256 for sha256, jar in (line.split() for line in PINNED.read_text().splitlines())}


def provide_jars() -> list[Path]:
    """Return the paths of the jars in a fixed order. Download the jars first if the cache folder is missing.

    :raises JarsUnusable: a jar can't be downloaded, or does not match its pinned sum.
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
            f"{what} in {folder}: missing, or different from the SHA-256 sum in {PINNED.name}. "
            "Delete that folder; the next start downloads all jars again"
        )
    return [folder / _file_name(jar) for jar in sorted(pinned)]


def are_there() -> bool:
    """Return whether the cache folder exists, so that no download is needed."""
    return _name_folder().exists()


def _name_folder() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "shop" / f"kafka-{hashlib.sha256(PINNED.read_bytes()).hexdigest()[:16]}"


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Let one process at a time download. The other processes wait and then find the jars."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(pinned: dict[str, str], folder: Path) -> None:
    """Download into a temporary folder, check each sum, and then rename the temporary folder to `folder`."""
    from jgo.maven import MavenContext  # slow to import, and needed only for a download

    print(f"downloading Kafka ({len(pinned)} jars, 44 MB) into {folder.parent}", flush=True)
    unfinished = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder.parent))
    try:
        repository = MavenContext(repo_cache=unfinished / "maven", local_repos=[], timeout=60)
        (unfinished / "jars").mkdir()
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            fetches = [pool.submit(_fetch_jar, repository, jar, pinned[jar], unfinished / "jars") for jar in pinned]
            for done, fetch in enumerate(as_completed(fetches), start=1):
                fetch.result()
                if done % 8 == 0 or done == len(fetches):
                    print(f"downloaded {done} of {len(fetches)} jars", flush=True)
        (unfinished / "jars").rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch_jar(repository: "MavenContext", jar: str, sha256: str, folder: Path) -> None:
    group, artifact, version = jar.split(":")
    try:
        path = repository.project(group, artifact).at_version(version).artifact(packaging="jar").resolve()
    except Exception as error:
        raise JarsUnusable(f"{jar} can't be downloaded: {error}") from error
    if not _is_right(path, sha256):
        raise JarsUnusable(f"{jar} was downloaded, but its SHA-256 sum differs from the sum in {PINNED.name}")
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
