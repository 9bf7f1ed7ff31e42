"""Flink's job without Flink: its script, its schema in PostgreSQL, and what the watcher says about its states."""

import re
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from analytics.archive.folder import NotArchived
from analytics.flink import tables, watch
from analytics.flink.cluster import FlinkUnavailable, Job, read_job
from analytics.flink.comparison import find_differences
from analytics.flink.progress import Progress, Target
from analytics.flink.script import describe_kafka, write_script
from analytics.flink.state import NEVER, describe_job, read_flink_completeness
from analytics.flink.watch import Watcher
from analytics.generation import FLINK, FLINK_TABLES, SUM_TABLES, TABLES, reading
from analytics.models import FlinkJob
from analytics.panels.reading import forget
from analytics.recount.expected import KINDS
from analytics.sessions import compute_sessions
from analytics.tasks import drop_old_facts
from relay.operations import cluster
from shop.embedded.jars import JarSet
from shop.management.commands.status import tell_flink

AT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
SPOT = ("shop.orders", 0)


def test_the_script_reads_the_same_events_as_the_consumer_and_forgets_nothing(settings: Settings) -> None:
    settings.DATABASES["default"] = {**settings.DATABASES["default"], "PASSWORD": "it's"}
    script = write_script()
    assert dict(re.findall(r"WHEN '(\w+)' THEN '(\w+)'", script.partition("read_at AS")[0])) == KINDS
    assert "'password' = 'it''s'" in script
    assert "${" not in script
    assert "table.exec.state.ttl" not in script
    assert not re.search(r"\b(TUMBLE|HOP|SESSION|WATERMARK)\b", script)
    for name in FLINK_TABLES:
        if name not in ("session", "session_day", "touched", *SUM_TABLES):  # the shop computes these, or nobody
            assert f"{FLINK.schema}.{TABLES[name]}'" in script


def test_the_access_to_kafka_is_the_same_for_java() -> None:
    options = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "ssl_cafile": "/ca.pem"}
    found = describe_kafka({**options, "sasl_plain_username": "shop", "sasl_plain_password": 'a"b'})
    assert found["sasl.jaas.config"].endswith('ScramLoginModule required username="shop" password="a\\"b";')
    assert (found["ssl.truststore.type"], found["ssl.truststore.location"]) == ("PEM", "/ca.pem")
    assert describe_kafka({}) == {}


@pytest.fixture
def flink_tables(transactional_db: None) -> Any:
    tables.create_tables()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"drop schema {FLINK.schema} cascade")


def write_activity(at: datetime, visitor: uuid.UUID, event_id: uuid.UUID) -> None:
    """Write an activity as Flink's connector does."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"insert into {FLINK.schema}.analytics_activity (event_id, at, visitor, kind, sku, currency)"  # noqa: S608
            " values (%s, %s, %s, 'viewed', 'MUG', '') on conflict (event_id) do update set at = excluded.at",
            [event_id, at, visitor],
        )


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {FLINK.schema}.analytics_{table}")  # noqa: S608 - test
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("flink_tables")
def test_visits_follow_the_activity_that_flink_writes_and_old_days_are_dropped(
    settings: Settings, tmp_path: Path
) -> None:
    visitor, event_id = uuid.uuid4(), uuid.uuid4()
    write_activity(AT, visitor, event_id)
    write_activity(AT + timedelta(hours=1), visitor, uuid.uuid4())
    write_activity(AT, visitor, event_id)  # repeated after a failure
    assert (count("activity"), count("touched")) == (2, 2)
    compute_sessions(FLINK)
    assert (count("session"), count("touched")) == (2, 0)
    assert find_differences()[0].startswith("activity 2026-05-04: the consumer has no rows, Flink has 2 rows")

    settings.ANALYTICS = "flink"
    settings.ANALYTICS_ACTIVITY_DAYS = (timezone.now() - AT).days + 2
    tables.drop_old_days()
    assert (count("activity"), count("session")) == (2, 2)
    settings.ANALYTICS_ACTIVITY_DAYS = 31
    settings.ANALYTICS_ARCHIVE_DIR = str(tmp_path / "missing")
    with pytest.raises(NotArchived, match="missing"):
        drop_old_facts()  # the consumer's days are kept, Flink's are not
    assert (count("activity"), count("session")) == (0, 0)


@pytest.mark.usefixtures("flink_tables")
def test_a_setting_chooses_whose_tables_pages_read(settings: Settings) -> None:
    write_activity(AT, uuid.uuid4(), uuid.uuid4())

    def find(table: str) -> str:
        with reading() as cursor:
            cursor.execute("select to_regclass(%s)::oid::regclass::text, relnamespace::regnamespace::text from pg_class"
                           " where oid = to_regclass(%s)", [table, table])  # fmt: skip
            return str(cursor.fetchone()[1])

    assert find("analytics_activity") == "public"
    settings.ANALYTICS_PAGES = "flink"
    assert find("analytics_activity") == FLINK.schema
    assert find("analytics_arrival") == "public"  # Flink does not compute it
    assert read_flink_completeness(since=AT).until == NEVER
    assert describe_job()["state"] == "unknown"


class Script:
    """A job and the committed offset, as the watcher sees them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.job: Job | None = None
        self.end = self.committed = 0
        monkeypatch.setattr(watch, "read_job", lambda url: self._read())
        monkeypatch.setattr(cluster, "read_committed", lambda groups: {groups[0]: {SPOT: self.committed}})
        monkeypatch.setattr(Progress, "__init__", lambda progress: None)
        self.progress = Progress()
        self.progress._targets, self.progress.waiting = deque(), 0
        monkeypatch.setattr(self.progress, "_tail", self, raising=False)
        self.watcher = Watcher(self.progress)

    def _read(self) -> Job:
        if self.job is None:
            raise FlinkUnavailable("Flink does not answer at http://flink: refused")
        return self.job

    def read_bounds(self) -> dict[tuple[str, int], tuple[int, int]]:
        return {SPOT: (0, self.end), ("shop.orders", 1): (7, 7)}

    def look(self, **changes: Any) -> FlinkJob:
        for name, value in changes.items():
            setattr(self, name, value)
        return self.watcher.look()


def make_job(state: str = "RUNNING", *, checkpoints: int = 2, restarts: int = 0, error: str = "") -> Job:
    """Return a job whose last checkpoint began after all targets."""
    return Job("a1", state, restarts, checkpoints, timezone.now() + timedelta(hours=1), error)


@pytest.mark.django_db
def test_complete_until_waits_for_a_checkpoint_and_never_goes_back_while_the_job_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flink = Script(monkeypatch)
    assert flink.look().state == "starting"
    # Offsets that an earlier job has committed prove nothing about this one.
    assert flink.look(job=make_job(checkpoints=1), end=5, committed=5).until is None
    row = flink.look(job=make_job())
    first = row.until
    assert (row.state, row.waiting) == ("running", 0) and first
    row = flink.look(end=9)
    assert (row.until, row.waiting) == (first, 4)

    row = flink.look(job=make_job("RESTARTING", error="TaskManager is lost"))
    assert (row.state, row.until, row.detail) == ("recovering", first, "TaskManager is lost")
    row = flink.look(job=make_job(restarts=1), committed=8)
    assert (row.state, row.until) == ("recovering", first)
    assert "recovering: complete until" in tell_flink(describe_job())
    row = flink.look(committed=9)
    assert row.state == "running" and row.until and row.until > first

    assert flink.look(job=None).state == "away"
    assert flink.look(job=make_job("FAILED", error="no table")).state == "failed"
    FlinkJob.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    assert describe_job()["state"] == "unknown"


def test_an_address_where_no_flink_answers_is_named() -> None:
    with pytest.raises(FlinkUnavailable, match=r"Flink does not answer at http://127.0.0.1:1: .*refused"):
        read_job("http://127.0.0.1:1")


def test_a_target_is_reached_when_all_its_partitions_are() -> None:
    target = Target(AT, AT, {SPOT: 3, ("shop.orders", 1): 0})
    assert not target.is_reached({SPOT: 2}) and target.is_reached({SPOT: 3})


@pytest.mark.usefixtures("flink_tables")
def test_the_sales_pages_say_that_the_figures_are_flinks_and_what_it_does(
    settings: Settings, admin_client: Client
) -> None:
    settings.ANALYTICS = settings.ANALYTICS_PAGES = "flink"

    def show(span: str = "day") -> str:
        forget()
        return admin_client.get(f"/control/sales/?span={span}").content.decode()

    for span in ("hour", "day", "month"):
        assert "? Not complete yet" in show(span)
    now = timezone.now()
    job = FlinkJob.objects.create(state="recovering", began_at=now, until=now, seen_at=now, detail="it was killed")
    page = show()
    assert "◐ Recovering: complete until" in page
    assert "These figures are from Flink" in page and "it was killed" in page
    job.state = "running"
    job.save()
    assert "● Complete until" in show()
    forget()


@pytest.mark.django_db(transaction=True)
def test_a_flink_of_your_own_gets_the_job_its_jars_and_tables_and_continues_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jars = {"org.example:sink:1.0": tmp_path / "sink-1.0.jar", "pypi:x:1:lib/core.jar": tmp_path / "core.jar"}
    for path in jars.values():
        path.touch()
    monkeypatch.setattr(JarSet, "provide_named", lambda jar_set: jars)

    def prepare() -> str:
        said = StringIO()
        call_command("prepare_flink", str(tmp_path / "flink"), str(tmp_path / "jars"), stdout=said)
        return said.getvalue()

    assert "begins with Kafka's first record" in prepare()
    assert [path.name for path in (tmp_path / "jars").iterdir()] == ["sink-1.0.jar"]
    assert "EXECUTE STATEMENT SET" in (tmp_path / "flink" / "job.sql").read_text()
    write_activity(AT, uuid.uuid4(), uuid.uuid4())
    (checkpoints,) = (tmp_path / "flink" / "checkpoints").iterdir()
    (checkpoints / "a1" / "chk-7").mkdir(parents=True)
    (checkpoints / "a1" / "chk-7" / "_metadata").touch()
    assert "continues from" in prepare()
    assert count("activity") == 1
    monkeypatch.setattr("shop.embedded.flink.find_fingerprint", lambda: "changed")
    assert "begins with Kafka's first record" in prepare()  # the state is of another job
    assert count("activity") == 0 and not checkpoints.exists()
    with connection.cursor() as cursor:
        cursor.execute(f"drop schema {FLINK.schema} cascade")
