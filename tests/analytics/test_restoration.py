"""A rebuild after pruning: activity comes from the outbox, the tables and the archive, and the checksums are equal."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from analytics.checksum import read_checksums
from analytics.generation import FIRST, SCHEMAS, current
from analytics.models import Activity, ArchivedDay, GenerationChoice
from analytics.rebuild import filler, restoration
from analytics.recount.comparison import recount
from analytics.retention import drop_old_days
from analytics.seal import seal_days
from analytics.sessions import compute_sessions
from relay.process import failpoint
from shop.events import ActivityEvent, ProductViewed
from tests.analytics.replicas import run_analytics as run
from tests.analytics.replicas import take_part
from tests.analytics.traffic import MIDNIGHT, Traffic

pytestmark = pytest.mark.django_db
SEED = int(os.environ["SEED"])
EVENTS = Traffic(SEED, visits=60).events
REASON = ["--confirm", "--reason", "a column was wrong"]
ALL = ["shop.activity", "shop.orders", "shop.payments", "shop.inventory", "shop.stock"]
# Half of the rows; with their floors, as pruning does it.
PRUNE = """
with pruned as (
    delete from relay_outbox where topic = any(%s)
    and position <= (select percentile_disc(0.5) within group (order by position) from relay_outbox)
    returning topic, key, sequence)
update relay_stream s set floor = p.last from (select topic, key, max(sequence) as last from pruned group by 1, 2) p
where s.topic = p.topic and s.key = p.key
"""


@pytest.fixture(autouse=True)
def shop(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the day of MIDNIGHT and later days, and make many small steps."""
    settings.ANALYTICS_ACTIVITY_DAYS = (timezone.now().date() - MIDNIGHT.date()).days
    settings.ANALYTICS_ARCHIVE_DIR = str(tmp_path)
    for module, name in ((filler, "STEP"), (filler, "BUSY_STEP"), (restoration, "CHUNK")):
        monkeypatch.setattr(module, name, 20)
    monkeypatch.setattr(filler, "PAUSE", 0.0)
    yield
    failpoint.hook = None


def prune(topics: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(PRUNE, [topics])


@pytest.mark.parametrize("topics", [ALL, ALL[:1]], ids=["everything pruned", "activity pruned"])
def test_a_rebuild_finds_pruned_activity_in_the_tables_and_the_archive(topics: list[str], settings: Settings) -> None:
    take_part(EVENTS)
    seal_days()
    days = drop_old_days()
    late = [ProductViewed(occurred_at=MIDNIGHT - timedelta(hours=1), visitor=uuid4(), sku="MUG") for _ in range(25)]
    take_part(late)  # a second part of an archived day
    drop_old_days()
    prune(topics)
    keep = []
    if topics == ALL:
        with pytest.raises(CommandError, match=r"orders and stock are pruned from the outbox.*--keep-orders"):
            run("rebuild")
        keep = ["--keep-orders"]
    before, activities = read_checksums(), sum(isinstance(event, ActivityEvent) for event in EVENTS) + len(late)
    plan = run("rebuild", *keep)
    figures = [int(line.split()[0].replace(",", "")) for line in plan.splitlines()[1:4]]
    others = 0 if keep else len(EVENTS) + len(late) - activities
    assert sum(figures) == activities + others and figures[1] > 0 and figures[2] > 25, plan
    assert ("copied    the tables of orders and stock" in plan) == bool(keep)

    def die(label: str) -> None:
        if label == "generation.restored":
            deaths.append(label)
            if len(deaths) in (2, 5):
                raise KeyboardInterrupt

    deaths: list[str] = []
    failpoint.hook = die
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run("rebuild", *REASON, *keep)
        assert GenerationChoice.objects.get().is_restoring and current() == FIRST
        assert "is restored up to 2026-" in run("generations")
    settings.ANALYTICS_ACTIVITY_DAYS -= 1  # meanwhile the next day moves from the tables to the archive
    assert drop_old_days()[-1] == MIDNIGHT.date()
    out = run("rebuild", *REASON)
    assert "readers read the new generation" in out and "sealed days have the same checksums" in out
    assert current().schema == SCHEMAS[1] and len(days) < ArchivedDay.objects.count()
    compute_sessions()
    gone = {one for one in before if one.day == MIDNIGHT.date() and one.table in ("activity", "session")}
    assert set(read_checksums()) == set(before) - gone
    assert recount().differences == []
    take_part([ProductViewed(occurred_at=timezone.now(), visitor=uuid4(), sku="MUG")])
    run("switch-back", "--reason", "to compare")
    assert current() == FIRST and recount().differences == []


def test_a_rebuild_without_a_complete_archive_is_refused(settings: Settings, tmp_path: Path) -> None:
    take_part(EVENTS)
    seal_days()
    drop_old_days()
    late = ProductViewed(occurred_at=MIDNIGHT - timedelta(hours=1), visitor=uuid4(), sku="MUG")
    prune(ALL[:1])
    file = tmp_path / f"activity-{late.occurred_at.date()}.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:200] + content[:200] + content[400:])
    with pytest.raises(CommandError, match=f"{file.name} (can't be read|has)"):
        run("rebuild", *REASON)
    assert current() == FIRST
    run("drop-generation", "--reason", "the file is damaged")
    file.unlink()
    for arguments in ([], REASON):
        with pytest.raises(CommandError, match=f"{file.name} is missing"):
            run("rebuild", *arguments)
    file.write_bytes(content)
    settings.ANALYTICS_ARCHIVE_DIR = ""
    settings.ANALYTICS_ACTIVITY_DAYS -= 1
    assert drop_old_days() == [MIDNIGHT.date()]
    settings.ANALYTICS_ARCHIVE_DIR = str(tmp_path)
    for arguments in ([], REASON):
        with pytest.raises(CommandError, match=r"the activity of 1 day from 2026-10-25 .* dropped without an archive"):
            run("rebuild", *arguments)
    assert not GenerationChoice.objects.exclude(other="").exists() and not Activity.objects.filter(at__lt=MIDNIGHT)
