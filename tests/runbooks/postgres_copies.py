"""Base backups, restores and replicas of a running shop's PostgreSQL, by PostgreSQL's own programs."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from shop.embedded.processes import wait_until
from tests.running_shop import RunningShop


@dataclass
class Postgres:
    """The PostgreSQL of a running shop. Its programs run as the owner of the data, because root may not run them."""

    shop: RunningShop
    address: str
    data: Path
    binaries: Path
    owner: int

    @classmethod
    def of(cls, shop: RunningShop) -> "Postgres":
        """Return the PostgreSQL of `shop`, which must be running."""
        address = shop.addresses["postgres"]
        with psycopg.connect(address) as db:
            data = Path(read_value(db, "show data_directory"))
        server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        binaries = Path(server.exe()).parent
        if not (binaries / "pg_basebackup").exists():
            pytest.skip(f"{binaries} contains no pg_basebackup: install PostgreSQL's client programs")
        return cls(shop, address, data, binaries, data.stat().st_uid)

    @property
    def port(self) -> int:
        """Return the port on which the shop's server listens."""
        return int(psycopg.conninfo.conninfo_to_dict(self.address)["port"] or 0)

    def run(self, program: str, *arguments: object) -> None:
        """Run a program of PostgreSQL as the owner of the data.

        :raises AssertionError: the program failed; the message contains its output.
        """
        command = [str(self.binaries / program), *map(str, arguments)]
        user = self.owner if os.getuid() == 0 else None
        ended = subprocess.run(
            command, user=user, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 0, f"{program}: {ended.stdout}{ended.stderr}"

    def make_folder(self, name: str) -> Path:
        """Create an empty folder next to the data that belongs to their owner."""
        folder = self.data.parent / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        os.chown(folder, self.owner, -1)
        return folder

    def back_up(self, name: str, *options: str) -> Path:
        """Take a base backup of the running server into a folder next to the data, and return the folder."""
        folder = self.make_folder(name)
        self.run("pg_basebackup", "-d", self.address, "-D", folder, "-c", "fast", *options)
        return folder

    def archive_wal(self) -> Path:
        """Let the server archive its write-ahead log from its next start on, and return the archive's folder."""
        archive = self.make_folder("archive")
        with psycopg.connect(self.address, autocommit=True) as db:
            db.execute("alter system set archive_mode = on")
            db.execute(f"alter system set archive_command = 'cp %p {archive}/%f'")
        return archive

    def replace_data(self, folder: Path) -> None:
        """Replace the stopped server's data by `folder`."""
        shutil.rmtree(self.data)
        folder.rename(self.data)


def read_value(db: psycopg.Connection[Any], query: str) -> Any:
    """Return the value that `query` finds.

    :raises AssertionError: the query returns no row.
    """
    row = db.execute(query).fetchone()
    assert row
    return row[0]


def wait_for_archive(address: str) -> None:
    """Close the current file of the write-ahead log and wait until the file is archived."""
    with psycopg.connect(address, autocommit=True) as db:
        last = read_value(db, "select pg_walfile_name(pg_switch_wal())")
        archived = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
        assert wait_until(lambda: read_value(db, archived) >= last, seconds=60)
