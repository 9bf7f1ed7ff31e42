"""`status` shows all parts. A part that does not answer is shown as down, without an error."""

import json
import re
from io import StringIO
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from psycopg.conninfo import conninfo_to_dict

from relay import BrokerUnavailable, publish
from relay.consumer.canary import note_canaries
from relay.heartbeat import Pulse, beat
from relay.models import ConsumerState, Outbox
from relay.publisher.canary import Canary, CanarySent
from relay.testing.delivery import make_delivery
from shop.embedded.addresses import make_database_url
from shop.events import OrderShipped
from shop.management.commands import status as command

pytestmark = pytest.mark.django_db(transaction=True)
PARTS = {
    *("postgres", "kafka", "valkey", "web", "gateway", "live", "relay", "celery", "beat"),
    *("orders", "inventory", "payments", "notifications", "analytics", "bought_together"),
}


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Kafka, Valkey and the web not answer."""

    def fail(*_: str) -> None:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr("relay.operations.cluster.check_access", fail)
    monkeypatch.setattr(command, "ping_valkey", fail)
    monkeypatch.setattr(command, "check_health", fail)


def read() -> dict[str, Any]:
    out = StringIO()
    call_command("status", "--json", stdout=out)
    shown: dict[str, Any] = json.loads(out.getvalue())
    return shown


def test_every_part_has_an_address_or_a_heartbeat() -> None:
    shown = read()
    assert set(shown["parts"]) == PARTS
    for name in ("web", "admin", "api", "kafka", "postgres", "valkey"):
        assert ":" in shown["addresses"][name]
    assert shown["parts"]["postgres"]["up"] is True
    assert {name for name, part in shown["parts"].items() if part["up"]} == {"postgres"}
    assert shown["parts"]["kafka"]["detail"] == "nobody listens"
    assert shown["parts"]["relay"]["detail"] == "has never completed a round"


def test_psql_accepts_the_address_of_the_database() -> None:
    with psycopg.connect(read()["addresses"]["postgres"]) as shown:
        assert shown.execute("select current_database()").fetchone() == (connection.settings_dict["NAME"],)


@pytest.mark.parametrize(
    ("database", "parsed"),
    [
        ({"HOST": "127.0.0.1", "PORT": 29968, "NAME": "shop"}, {"host": "127.0.0.1", "port": "29968"}),
        ({"HOST": "", "PORT": "", "NAME": "shop"}, {}),
        ({"HOST": "db", "NAME": "shop", "USER": "me", "PASSWORD": "hunter2"}, {"host": "db", "user": "me"}),
        (
            {"HOST": "::1", "PORT": 5432, "NAME": "a/b?c", "USER": "m@e:"},
            {"host": "::1", "port": "5432", "user": "m@e:"},
        ),
        ({"HOST": "/var/run/postgresql", "NAME": "shop"}, {"host": "/var/run/postgresql"}),
        (
            {"HOST": "db", "NAME": "shop", "OPTIONS": {"sslmode": "require", "connect_timeout": 3}},
            {"host": "db", "sslmode": "require"},
        ),
    ],
)
def test_any_database_has_an_address_that_libpq_reads(database: dict[str, Any], parsed: dict[str, str]) -> None:
    address = make_database_url(database)
    assert address.startswith("postgresql://") and "hunter2" not in address
    assert conninfo_to_dict(address) == {"dbname": database["NAME"], **parsed}


def test_a_part_is_up_while_its_heartbeat_is_fresh() -> None:
    beat("relay")
    beat("celery")
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_heartbeat (process, name, started_at, at)"
            " values ('orders@x:1', 'orders', now(), now() - interval '1 min')"
        )
    parts = read()["parts"]
    assert [parts[name]["up"] for name in ("relay", "celery", "beat", "orders")] == [True, True, True, False]
    assert parts["orders"]["detail"].startswith("last round 6")


def test_backlogs_are_counted() -> None:
    order_id = uuid4()
    with transaction.atomic():
        for _ in range(2):
            publish(OrderShipped(order_id=order_id, number="N1", contact_id=uuid4(), occurred_at=timezone.now()))
    with connection.cursor() as cursor:
        cursor.execute("update relay_outbox set created_at = now() - interval '90 s' where sequence = 1")
        cursor.execute(
            "insert into relay_cursor (consumer, topic, key, last, parked_at) values"
            " ('inventory', 'shop.orders', %s, 1, now())",
            [str(order_id)],
        )
    shown = read()
    assert shown["outbox"]["unpublished"] == 2
    assert 90 <= shown["outbox"]["oldest_seconds"] < 120
    running = {"exact": True, "canary_seconds": None, "paused": ""}
    assert shown["consumers"]["inventory"] == {"lag": 1, "keys": 1, "parked": 1, **running}
    assert shown["consumers"]["payments"] == {"lag": 2, "keys": 1, "parked": 0, **running}
    assert shown["consumers"]["orders"] == {"lag": 0, "keys": 0, "parked": 0, **running}


def test_an_estimated_lag_is_marked_with_about(monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        for _ in range(2):
            publish(OrderShipped(order_id=uuid4(), number="N1", contact_id=uuid4(), occurred_at=timezone.now()))
    monkeypatch.setattr("relay.consumer.lag.SPAN", Outbox.objects.earliest("position").position)
    out = StringIO()
    call_command("status", stdout=out)
    assert "lag about 2 events in 2 keys" in out.getvalue()


def test_the_age_of_the_canary_and_a_pause_are_shown() -> None:
    Canary().tick()
    note_canaries("orders", [make_delivery(Outbox.objects.get(topic=CanarySent.topic))])
    ConsumerState.objects.create(
        consumer="inventory", paused_at=timezone.now(), paused_by="ada", reason="counting stock"
    )
    consumers = read()["consumers"]
    assert 0 <= consumers["orders"]["canary_seconds"] < 5
    assert (consumers["inventory"]["paused"], consumers["orders"]["paused"]) == ("counting stock (ada)", "")
    out = StringIO()
    call_command("status", stdout=out)
    lines = {line.split()[0]: line for line in out.getvalue().splitlines() if " lag " in line}
    assert re.search(r"canary \d+\.\d s$", lines["orders"])
    assert lines["inventory"].endswith("no canary yet, paused: counting stock (ada)")


def test_the_reason_of_a_wait_is_shown_with_the_last_round() -> None:
    pulse = Pulse("relay")
    pulse.beat()
    with connection.cursor() as cursor:
        cursor.execute("update relay_heartbeat set at = at - interval '40 s'")
    pulse.wait(BrokerUnavailable("nobody answers"))
    relay = read()["parts"]["relay"]
    assert relay["up"] is False
    assert re.fullmatch(r"last round 4\d\.\d s ago, waits: BrokerUnavailable: nobody answers", relay["detail"])


def test_each_relay_that_sends_records_one_by_one_is_shown_with_the_reason() -> None:
    slow, fast, gone = Pulse("relay"), Pulse("relay"), Pulse("relay")
    slow.process, slow.fallback = "relay@a:1", "kafka-python is 3.1.0, not 3.0.12"
    fast.process, fast.fallback = "relay@b:1", ""
    gone.process, gone.fallback = "relay@c:1", slow.fallback
    for pulse in (slow, gone, fast):
        pulse.write()
    with connection.cursor() as cursor:
        cursor.execute(
            "update relay_heartbeat set at = at - interval '1 min',"
            " figures = jsonb_set(figures, '{tried_at}', '1') where process = 'relay@c:1'"
        )
    assert read()["fallbacks"] == {"relay@a:1": "kafka-python is 3.1.0, not 3.0.12"}
    out = StringIO()
    call_command("status", stdout=out)
    assert "slow relay@a:1 sends records one by one: kafka-python is 3.1.0, not 3.0.12\n" in out.getvalue()
    assert "relay@b:1" not in out.getvalue()


def test_without_a_database_the_other_parts_are_shown() -> None:
    port = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = 1
    try:
        shown = read()
        out = StringIO()
        call_command("status", stdout=out)
    finally:
        connection.settings_dict["PORT"] = port
        connection.close()
    assert shown["parts"]["postgres"]["up"] is False
    assert "refused" in shown["parts"]["postgres"]["detail"]
    assert (shown["outbox"], shown["consumers"]) == (None, None)
    assert "the database is down" in out.getvalue()


def test_the_table_has_a_line_for_each_part_and_consumer() -> None:
    out = StringIO()
    call_command("status", stdout=out)
    lines = out.getvalue().splitlines()
    assert {line.split()[1] for line in lines if line.startswith(("up", "down"))} == PARTS
    assert any(line.startswith("outbox: 0 unpublished") and line.endswith("refused: 0") for line in lines)
    assert sum("lag 0 events" in line for line in lines) == 6
