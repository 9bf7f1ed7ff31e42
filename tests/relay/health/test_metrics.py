"""The metrics page: its values, its permissions, and its limited cost."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from relay import BrokerUnavailable, Consumer, publish
from relay.conf import Configuration
from relay.consumer.canary import note_canaries
from relay.consumer.deliveries import Delivery
from relay.health import metrics
from relay.health.measures import GAUGES, Sample
from relay.heartbeat import Pulse
from relay.models import ConsumerState, ForeignRecord, Outbox, ShardLease
from relay.publisher.canary import Canary, CanarySent
from relay.testing.delivery import make_delivery
from tests.relay.events import BookLent
from tests.relay.readers import Readers

pytestmark = pytest.mark.django_db
LOCAL = {"Host": "localhost:8000"}
Scraped = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(autouse=True)
def only_readers(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the readers as the only consumer, and disable the cache of sections."""
    for module in ("relay.health.metrics", "relay.health.measures"):
        monkeypatch.setattr(f"{module}.all_consumers", lambda: [readers.consumer])
    metrics._registry.cache_clear()
    yield
    metrics._registry.cache_clear()


def scrape() -> Scraped:
    answer = Client().get("/metrics", headers=LOCAL)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def find(scraped: Scraped, name: str, /, **labels: str) -> float:
    """Return the only sample with this name and these labels."""
    (value,) = [v for (n, found), v in scraped.items() if n == name and labels.items() <= set(found)]
    return value


def test_the_backlog_of_the_outbox_and_the_lag_of_the_consumer_are_reported() -> None:
    book = uuid4()
    with transaction.atomic():
        for person in ("Ada", "Bob", "Cy"):
            publish(BookLent(book=book, reader=person))
    with connection.cursor() as cursor:
        cursor.execute("update relay_outbox set created_at = now() - interval '90 s' where sequence = 2")
        cursor.execute("update relay_outbox set published_at = now() where sequence = 1")
        cursor.execute("update relay_outbox set refused_reason = 'too large' where sequence = 2")
        cursor.execute(
            "insert into relay_cursor (consumer, topic, key, last, parked_at)"
            " values ('readers', 'test.library', %s, 1, now())",
            [str(book)],
        )
    ConsumerState.objects.create(consumer="readers", paused_at=timezone.now(), reason="stocktaking")
    scraped = scrape()
    assert find(scraped, "relay_outbox_unpublished_rows") == 2
    assert 90 <= find(scraped, "relay_outbox_oldest_unpublished_seconds") < 150
    assert find(scraped, "relay_outbox_refused_rows") == 1
    assert find(scraped, "relay_outbox_partitions_ahead") >= 5
    assert find(scraped, "relay_consumer_lag_events", consumer="readers") == 2
    assert find(scraped, "relay_consumer_lag_keys", consumer="readers") == 1
    assert 90 <= find(scraped, "relay_consumer_oldest_unapplied_seconds", consumer="readers") < 150
    assert find(scraped, "relay_consumer_parked_keys", consumer="readers") == 1
    assert find(scraped, "relay_consumer_paused", consumer="readers") == 1
    assert not [name for name, _ in scraped if name == "relay_consumer_canary_age_seconds"]


def test_counters_and_states_of_processes_are_reported() -> None:
    relay, consumer = Pulse("relay"), Pulse("readers")
    relay.count("published", 7)
    relay.observe("publish_seconds", 0.02, n=3)
    relay.observe("publish_seconds", 99.0)
    relay.beat()
    consumer.count("applied", 5)
    consumer.wait(BrokerUnavailable("nobody answers"))
    scraped = scrape()
    assert find(scraped, "relay_published_total", name="relay", process=relay.process) == 7
    assert find(scraped, "relay_publish_seconds_bucket", name="relay", le="0.01") == 0
    assert find(scraped, "relay_publish_seconds_bucket", name="relay", le="0.025") == 3
    assert find(scraped, "relay_publish_seconds_bucket", name="relay", le="+Inf") == 4
    assert find(scraped, "relay_publish_seconds_count", name="relay") == 4
    assert find(scraped, "relay_publish_seconds_sum", name="relay") == pytest.approx(99.06)
    assert find(scraped, "relay_consumer_applied_total", consumer="readers", process=consumer.process) == 5
    assert find(scraped, "relay_process_round_age_seconds", name="relay") < 5
    assert find(scraped, "relay_process_round_age_seconds", name="readers") == float("inf")
    assert find(scraped, "relay_process_tried_age_seconds", name="readers") < 5
    assert abs(find(scraped, "relay_process_start_time_seconds", name="relay") - timezone.now().timestamp()) < 5


def test_the_metrics_show_which_relay_sends_records_one_by_one() -> None:
    slow, fast = Pulse("relay"), Pulse("second relay")
    slow.fallback, fast.fallback = "kafka-python is 3.1.0, not 3.0.12", ""
    for pulse in (slow, fast, Pulse("readers")):
        pulse.beat()
    scraped = scrape()
    assert find(scraped, "relay_batches_fast", process=slow.process) == 0
    assert find(scraped, "relay_batches_fast", process=fast.process) == 1
    assert len([name for name, _ in scraped if name == "relay_batches_fast"]) == 2


def test_the_age_of_the_canary_and_the_shards_of_each_relay_are_reported() -> None:
    Canary().tick()
    note_canaries("readers", [make_delivery(Outbox.objects.get(topic=CanarySent.topic))])
    later, past = timezone.now() + timedelta(minutes=1), timezone.now() - timedelta(minutes=1)
    ShardLease.objects.all().delete()
    for shard, owner, until in [(0, "one", later), (1, "one", later), (2, "two", later), (3, "two", past)]:
        ShardLease.objects.create(shard=shard, owner=owner, epoch=1, until=until)
    scraped = scrape()
    assert 0 <= find(scraped, "relay_consumer_canary_age_seconds", consumer="readers") < 5
    assert find(scraped, "relay_shards_held", owner="one") == 2
    assert find(scraped, "relay_shards_held", owner="two") == 1
    assert find(scraped, "relay_shards_free") == 1


def test_transactions_that_hold_vacuum_back_are_named() -> None:
    opened, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("set application_name = 'somebody''s report'")
            cursor.execute("select pg_current_xact_id()")
            opened.set()
            done.wait(20)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert opened.wait(60)
        whose = {"kind": "session", "application": "somebody's report", "state": "idle in transaction"}
        assert 0 <= find(scrape(), "relay_oldest_transaction_seconds", user="postgres", **whose) < 10
    finally:
        done.set()
        thread.join()


def test_a_slow_section_costs_two_seconds_and_only_its_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Consumer] = []

    def ask_slowly(consumer: Consumer, *, seconds: float) -> Iterator[Sample]:
        asked.append(consumer)
        with connection.cursor() as cursor:
            cursor.execute("select pg_sleep(30)")
        yield "relay_consumer_lag_events", {"consumer": consumer.name}, 0

    monkeypatch.setattr(metrics, "QUESTION_SECONDS", 1.0)
    monkeypatch.setattr(metrics, "read_consumer", ask_slowly)
    scraped = scrape()
    assert find(scraped, "relay_scrape_failed", section="lag of readers") == 1
    assert 1 <= find(scraped, "relay_scrape_seconds", section="lag of readers") < 10
    assert not [name for name, _ in scraped if name == "relay_consumer_lag_events"]
    assert find(scraped, "relay_scrape_failed", section="outbox") == 0
    assert find(scraped, "relay_outbox_unpublished_rows") == 0
    assert find(scrape(), "relay_scrape_failed", section="lag of readers") == 1
    assert len(asked) == 1, "what was slow is not asked again at once"


@pytest.mark.django_db(transaction=True)
def test_without_a_database_all_sections_are_reported_as_failed() -> None:
    port = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = 1
    try:
        scraped = scrape()
    finally:
        connection.settings_dict["PORT"] = port
        connection.close()
    assert {name for name, _ in scraped} == {"relay_scrape_failed", "relay_scrape_seconds"}
    assert all(value == 1 for (name, _), value in scraped.items() if name == "relay_scrape_failed")


@pytest.mark.parametrize(
    ("token", "address", "headers", "may"),
    [
        ("", "127.0.0.1", {}, True),
        ("", "127.0.0.1", {"Host": "127.0.0.1:8000"}, True),
        ("", "::1", {"Host": "[::1]:8000"}, True),
        ("", "10.0.0.7", {}, False),
        ("", "", {}, False),
        ("", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False),
        ("", "127.0.0.1", {"Forwarded": "for=10.0.0.7"}, False),
        ("", "127.0.0.1", {"Host": "shop.example"}, False),
        ("", "127.0.0.1", {"Host": "localhost.shop.example"}, False),
        ("", "127.0.0.1", {"Host": "[127.0.0.1"}, False),
        ("", "127.0.0.1", {"Host": ""}, False),
        ("s3cret", "10.0.0.7", {"Authorization": "Bearer s3cret"}, True),
        ("s3cret", "10.0.0.7", {"Authorization": "Bearer s3cre"}, False),
        ("s3cret", "10.0.0.7", {"Authorization": "s3cret"}, False),
        ("s3cret", "127.0.0.1", {}, False),
    ],
)
def test_only_this_machine_or_the_owner_of_the_token_may_scrape(
    settings: Settings, token: str, address: str, headers: dict[str, str], may: bool
) -> None:
    settings.RELAY = {**settings.RELAY, "METRICS_TOKEN": token, "METRICS_LOCAL": True}
    request = RequestFactory(REMOTE_ADDR=address).get("/metrics", headers={"Host": "localhost:8000", **headers})
    assert metrics.may_scrape(request) is may


def test_without_a_token_and_without_the_local_exception_nobody_may_scrape(settings: Settings) -> None:
    # As forwarded by a proxy on this machine that adds no header and calls the web by its own address.
    settings.RELAY = {**settings.RELAY, "METRICS_TOKEN": "", "METRICS_LOCAL": False}
    answer = Client(REMOTE_ADDR="127.0.0.1").get("/metrics", headers={"Host": "127.0.0.1:8000"})
    assert answer.status_code == 403 and b"METRICS_TOKEN" in answer.content
    assert not Configuration().metrics_local


def test_a_refused_scrape_gets_no_values(settings: Settings) -> None:
    settings.RELAY = {**settings.RELAY, "METRICS_TOKEN": "s3cret"}
    answer = Client().get("/metrics")
    assert answer.status_code == 403 and b"relay_outbox" not in answer.content


def test_every_gauge_is_reported_as_a_gauge_with_its_meaning() -> None:
    Pulse("relay").beat()
    families = {
        f.name: f for f in text_string_to_metric_families(Client().get("/metrics", headers=LOCAL).content.decode())
    }
    reported = {name: families[name] for name in GAUGES if name in families}
    assert len(reported) >= 14
    assert {name: (family.type, family.documentation) for name, family in reported.items()} == {
        name: ("gauge", GAUGES[name]) for name in reported
    }


def test_the_alerts_use_documented_metrics_and_every_gauge_is_documented() -> None:
    docs = Path(__file__).parents[3] / "docs"
    documented = set(re.findall(r"`(relay_[a-z_]+)`", (docs / "monitoring.md").read_text("utf-8")))
    assert set(GAUGES) <= documented
    (group,) = yaml.safe_load((docs / "alerts.yml").read_text("utf-8"))["groups"]
    used = {name for rule in group["rules"] for name in re.findall(r"relay_[a-z_]+", rule["expr"])}
    assert {name.removesuffix("_bucket") for name in used} <= documented
    assert all(set(rule) <= {"alert", "expr", "for", "labels", "annotations"} for rule in group["rules"])


def test_foreign_records_are_reported_until_they_are_explained(readers: Readers) -> None:
    assert find(scrape(), "relay_foreign_records") == 0
    forged = BookLent(book=uuid4(), reader="Mallory")
    readers.consumer.process([Delivery("test.library", 0, 1, forged.key, 1, forged.type_name(), forged.encode())])
    assert find(scrape(), "relay_foreign_records") == 1
    ForeignRecord.objects.update(explained_at=timezone.now())
    assert find(scrape(), "relay_foreign_records") == 0
