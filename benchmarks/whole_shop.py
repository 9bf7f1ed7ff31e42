"""A complete shop from any git checkout, and its usage: processor time by process, transactions and WAL syncs.

The usage is read from PostgreSQL's tables and the operating system, so that older commits can be measured, too.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.plugin import is_free

_STOCK = """
from inventory.services import receive_stock
from shop.catalogue.models import Product
for sku in Product.objects.filter(is_active=True).values_list("sku", flat=True):
    receive_stock(sku, 1_000_000, "benchmark")
"""
# The query for the number of WAL syncs, by whether the server is PostgreSQL 18 or newer.
_SYNCS = {False: "select wal_sync from pg_stat_wal", True: "select sum(fsyncs) from pg_stat_io where object = 'wal'"}


class WholeShop:
    """A shop with all its parts in a separate folder and on separate ports."""

    def __init__(self, tree: Path, python: str) -> None:
        """Set the checkout `tree` that the shop runs from, and the path of a Python with its requirements."""
        self._tree, self._python = tree, python
        self.port = next(port for port in range(8700, 9000) if is_free(port))
        self._var_dir = tree / "var" / "bench-whole"
        # LAB: the tests set it, and a measured shop has no lab.
        ours = ("PORT", "VAR_DIR", "RATE_LIMITS", "DJANGO_SETTINGS_MODULE", "LAB")
        self._environment = {name: value for name, value in os.environ.items() if name not in ours}
        self._environment |= {"PORT": str(self.port), "VAR_DIR": str(self._var_dir), "RATE_LIMITS": "off"}
        self.skus: list[str] = []

    @contextmanager
    def started(self) -> Iterator["WholeShop"]:
        """Start the shop with a large stock of each product. After the block, stop it and delete its data."""
        shutil.rmtree(self._var_dir, ignore_errors=True)
        self._var_dir.mkdir(parents=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with (self._var_dir / "screen.log").open("wb") as screen:
            command = [self._python, "manage.py", "up"]
            self._up = subprocess.Popen(
                command, cwd=self._tree, env=self._environment, stdout=screen, stderr=screen, start_new_session=True
            )
        try:
            self._wait_until_ready()
            self.manage("shell", "-c", _STOCK)
            addresses = json.loads((self._var_dir / "run" / "ready").read_text())
            self.database = psycopg.connect(addresses["postgres"], autocommit=True)
            rows = self.database.execute("select sku from catalogue_product where is_active order by sku").fetchall()
            self.skus = [sku for (sku,) in rows]
            yield self
            self.database.close()
        finally:
            self._up.send_signal(signal.SIGTERM)
            self._up.wait(90)
            shutil.rmtree(self._var_dir, ignore_errors=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 240
        while not (self._var_dir / "run" / "ready").exists():
            if self._up.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self._var_dir / "screen.log").read_text(errors="replace")[-4000:])
            time.sleep(0.2)

    def manage(self, *arguments: str) -> None:
        """Run `manage.py` with `arguments` in the checkout.

        :raises AssertionError: the command failed.
        """
        process = self.begin(*arguments)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, f"manage.py {' '.join(arguments)}: {output}"

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `manage.py` with `arguments` in the checkout, without waiting for its end."""
        command, pipe = [self._python, "manage.py", *arguments], subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self._tree, env=self._environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def read_number(self, statement: str, values: Any = ()) -> float:
        """Return the single value that `statement` returns."""
        row = self.database.execute(statement, values).fetchone()
        assert row
        return float(row[0] or 0)

    def read_usage(self) -> dict[str, float]:
        """Return the CPU seconds by process, and the counts `transactions` and `wal_syncs`, since the start."""
        used = self._read_cpu()
        used["transactions"] = self.read_number("select sum(xact_commit + xact_rollback) from pg_stat_database")
        used["wal_syncs"] = self.read_number(_SYNCS[self.database.info.server_version >= 180000])
        return used

    def _read_cpu(self) -> dict[str, float]:
        parts: dict[str, dict[str, Any]] = json.loads((self._var_dir / "run" / "parts.json").read_text())
        seconds = {"up": 0.0}  # including the health process
        family = psutil.Process(self._up.pid).children(recursive=True)
        for name, part in parts.items():
            if part["pid"]:
                seconds[name] = 0.0
                process = psutil.Process(part["pid"])
                for member in [process, *process.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess, ValueError):
                        family.remove(member)
                    with suppress(psutil.NoSuchProcess):
                        # Include the children's time of PostgreSQL, which contains its ended sessions.
                        seconds[name] += sum(member.cpu_times()[: 4 if name == "postgres" else 2])
        for member in [psutil.Process(self._up.pid), *family]:
            with suppress(psutil.NoSuchProcess):
                seconds["up"] += sum(member.cpu_times()[:2])
        return seconds
