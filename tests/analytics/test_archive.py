"""Activity is in a verified Parquet file before its day is dropped, at every moment and after every crash.

DuckDB, which shares no code with the writer, reads the files. A forked process that archives kills itself with SIGKILL
at each failpoint.
"""

import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import pytest
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from analytics.archive import files as parquet
from analytics.archive.content import list_rows
from analytics.archive.folder import NotArchived
from analytics.facts.days import find_oldest_day
from analytics.models import Activity, ArchivedDay
from analytics.retention import drop_old_days
from analytics.seal import seal_days
from relay import Event
from relay.process import failpoint
from shop.events import CartChanged, CheckoutCompleted, CheckoutStarted, ProductViewed
from tests.analytics.conftest import add
from tests.analytics.replicas import run_analytics as run
from tests.analytics.replicas import take_part

VISITORS = [uuid4(), uuid4()]
ORDER = uuid4()


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    settings.ANALYTICS_ACTIVITY_DAYS = 40
    settings.ANALYTICS_ARCHIVE_DIR = str(tmp_path)
    yield tmp_path
    failpoint.hook = None


@pytest.fixture
def old(folder: Path) -> datetime:
    """Return noon of a day that is too old to be kept."""
    return timezone.now().astimezone(UTC).replace(hour=12, minute=0) - timedelta(days=41)


def visit(at: datetime, visitor: UUID, order: UUID) -> list[Event]:
    return [
        ProductViewed(occurred_at=at, visitor=visitor, sku="MUG"),
        CartChanged(occurred_at=at + timedelta(seconds=1), visitor=visitor, sku="MUG", quantity=0),
        CheckoutStarted(occurred_at=at, visitor=visitor, units=2, total=2980, currency="EUR"),
        CheckoutCompleted(occurred_at=at, visitor=visitor, order_id=order),
    ]


def seal(*events: Event) -> None:
    """Publish `events`, let analytics apply them, and seal their days."""
    take_part(events)
    seal_days()


def ask(folder: Path, sql: str) -> list[Any]:
    """Return the answer of DuckDB about all files."""
    with duckdb.connect() as database:
        database.execute("set timezone = 'UTC'")
        return database.execute(sql.format(files=f"'{folder}/activity-*.parquet'")).fetchall()


@pytest.mark.django_db
def test_a_day_is_in_a_file_without_visitors_and_orders_and_late_events_are_a_second_part(
    folder: Path, old: datetime, settings: Settings
) -> None:
    first = visit(old, VISITORS[0], ORDER)
    seal(*first, *visit(old, VISITORS[1], uuid4()), *visit(timezone.now(), uuid4(), ORDER))
    stored = set(Activity.objects.filter(at__date=old.date()).values_list("event_id", "at", "kind", "sku", "quantity"))
    assert "1 day from" in run("archive") and drop_old_days() == [old.date()]
    assert Activity.objects.count() == 4 and Activity.objects.earliest("at").at > old
    read = ask(folder, "select event_id, occurred_at::timestamp, kind, sku, quantity from {files}")
    assert {(id, at.replace(tzinfo=UTC), *others) for id, at, *others in read} == stored
    assert ask(folder, "select count(*), count(distinct visitor), sum(amount), max(currency) from {files}") == [
        (8, 2, 2 * 2980, "EUR")
    ]
    query = re.search("```sql\n(.*?)```", (settings.BASE_DIR / "docs/analytics.md").read_text(), re.DOTALL)
    assert query and ask(folder, query[1].replace("'/archive/activity-*.parquet'", "{files}")) == [
        (old.date(), 2, 0, 2)
    ]
    (one,) = ArchivedDay.objects.all()
    content = (folder / one.file).read_bytes()
    for secret in (*VISITORS, ORDER):
        assert secret.bytes not in content and str(secret).encode() not in content
    assert str(old.date()) in run("complete")

    seal(late := ProductViewed(occurred_at=old, visitor=VISITORS[0], sku="POT"))
    add(first[0])  # a row that the first part has is not archived twice
    (folder / one.file).rename(folder / "elsewhere")
    with pytest.raises(NotArchived, match=f"{one.file} is missing"):
        drop_old_days()
    assert Activity.objects.filter(event_id=late.event_id).exists()
    (folder / "elsewhere").rename(folder / one.file)
    run("archive", "--write")
    assert [(row.part, row.rows) for row in ArchivedDay.objects.order_by("part")] == [(1, 8), (2, 1)]
    assert ask(folder, "select count(*), count(distinct event_id) from {files}") == [(9, 9)]
    assert "verified: 2 files" in run("archive", "--verify")

    (folder / one.file).write_bytes(content[:-100])
    second = folder / ArchivedDay.objects.get(part=2).file
    with pytest.raises(CommandError, match=rf"(?s)2 of 2 .*{one.file} can't be read.*{second.name} has 0 rows"):
        parquet.write_file(second, [], {})
        run("archive", "--verify")


@pytest.mark.django_db
def test_a_day_that_cannot_be_archived_is_kept_and_the_error_names_the_reason(
    folder: Path, old: datetime, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(*visit(old, VISITORS[0], ORDER))
    name = f"activity-{old.date()}.parquet"

    def demand(match: str) -> None:
        with pytest.raises(NotArchived, match=match):
            drop_old_days()
        assert Activity.objects.count() == 4 and not ArchivedDay.objects.exclude(dropped_at=None).exists()

    (folder / name).write_text("of another shop")
    assert f"not written by this database: {name}" in run("archive")
    demand(f"{name} exists, but this database has not written it")
    (folder / name).unlink()
    settings.ANALYTICS_ARCHIVE_DIR = str(folder / "missing")
    demand("missing' is not a folder: create or mount it")
    settings.ANALYTICS_ARCHIVE_DIR = str(folder)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow.parquet", None)
        demand(r"needs pyarrow.*install shop\[archive\]")
    with monkeypatch.context() as patch:  # a disk that loses the last row
        patch.setattr("analytics.archive.day.list_rows", lambda: [*list_rows()][:-1])
        demand(f"{name}.new has 3 rows .*, but 4 rows")
    (folder / f"{name}.new").unlink()
    (folder / f"{name}.new").mkdir()
    demand(f"{name}.new can't be written: Is a directory")
    (folder / f"{name}.new").rmdir()
    with connection.cursor() as cursor:
        cursor.execute("update analytics_activity set sku = 'POT' where kind = 'viewed'")
    demand(f"{old.date()}: the table has 4 rows .* but the seal says 4 rows")
    with connection.cursor() as cursor:
        cursor.execute("update analytics_activity set sku = 'MUG' where kind = 'viewed'")
    assert drop_old_days() == [old.date()] and not Activity.objects.exists()


#: Where the process is killed, one run after the other.
DEATHS = ("written", "verified", "recorded", "renamed", "dropping", "dropped")


def archive_and_die(death: str) -> None:
    """Archive in a forked process that dies at the failpoint `death`."""
    connection.close()  # parent and child would share an inherited connection
    if pid := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL, death
        return

    def die(label: str) -> None:
        if label == f"archive.{death}":
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        failpoint.hook = die
        drop_old_days()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_at_any_step_loses_no_row(folder: Path, old: datetime) -> None:
    expected = set()
    for number, death in enumerate(DEATHS):
        at = old - timedelta(days=number)
        seal(*(events := visit(at, VISITORS[0], ORDER)))
        expected |= {event.event_id for event in events}
        archive_and_die(death)
        assert (folder / f"activity-{at.date()}.parquet").exists() == (death in DEATHS[3:])
        assert Activity.objects.filter(at__date=at.date()).count() == (0 if death == "dropped" else 4)
        late = ProductViewed(occurred_at=at, visitor=VISITORS[1], sku="POT")  # between crash and continuation
        seal(late)
        expected.add(late.event_id)

    def arrive(label: str) -> None:
        is_old = label == "archive.recorded" and ArchivedDay.objects.filter(day=old.date()).exists()
        if is_old and len(expected) < 5 * len(DEATHS) + 2:  # twice, while the day is archived
            seal(late := ProductViewed(occurred_at=old, visitor=VISITORS[1], sku="POT"))
            expected.add(late.event_id)

    failpoint.hook = arrive
    assert drop_old_days()[-1] == old.date() < find_oldest_day()
    assert len(expected) == 5 * len(DEATHS) + 2
    assert not Activity.objects.exists() and not list(folder.glob("*.new"))
    assert ask(folder, "select count(*) from {files}") == [(len(expected),)]
    assert {id for (id,) in ask(folder, "select event_id from {files}")} == expected
    assert f"verified: {len(DEATHS) + 1} files" in run("archive", "--verify")
