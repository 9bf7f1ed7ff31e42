"""SECURE=1: the whole shop works, each server refuses strangers, Kafka limits its users, and no secret is shown.

One shop serves all tests of this module. The last tests stop it and start it again.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from pytest_django.fixtures import Settings

from relay.process.connection import read_connection
from shop.embedded.credentials import Credentials
from shop.embedded.parts import CONSUMERS, run_command
from shop.embedded.processes import wait_until
from tests.client import Customer, make_order
from tests.embedded.test_up import run_up
from tests.flows.test_life_of_an_order import find_sku
from tests.plugin import choose_port
from tests.running_shop import RunningShop


@pytest.fixture(scope="module")
def secure_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    shop = RunningShop(choose_port(7800), tmp_path_factory.mktemp("secure") / "var", SECURE="1")
    shop.start(240)
    yield shop
    shop.stop()
    shop.end_leftovers()  # PostgreSQL's data may lie outside the folder


@pytest.fixture(scope="module")
def credentials(secure_shop: RunningShop) -> Credentials:
    folder = secure_shop.var_dir / "secure"
    return Credentials(folder, (folder / "key").read_text())


def log_in(shop: RunningShop, credentials: Credentials, command: str) -> dict[str, object]:
    """Return the options of a Kafka client that logs in as the process `manage.py COMMAND` does."""
    options = credentials.describe_kafka_client(["manage.py", command])
    return {"bootstrap_servers": shop.addresses["kafka"], "bootstrap_timeout_ms": 5000, **options}


def test_an_order_is_confirmed_and_captured_and_everything_agrees(secure_shop: RunningShop) -> None:
    customer = Customer(secure_shop.base_url)
    placed = customer.place(make_order((find_sku(secure_shop), 1)))
    assert placed.status == 201, placed.body
    order = customer.wait_for(placed, "confirmed", seconds=60)

    def is_captured() -> bool:
        with psycopg.connect(secure_shop.addresses["postgres"]) as database:
            query = "select status from payments_payment where order_id = %s"
            return database.execute(query, [order["id"]]).fetchone() == ("captured",)

    assert wait_until(is_captured, seconds=60)
    verified = secure_shop.manage("verify", "--wait", "60")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    status = json.loads(secure_shop.manage("status", "--json").stdout)
    assert {name for name, part in status["parts"].items() if not part["up"]} == set()


def test_kafka_refuses_a_client_without_the_right_password(secure_shop: RunningShop, credentials: Credentials) -> None:
    options = log_in(secure_shop, credentials, "run_relay")
    for wrong in ({"security_protocol": "PLAINTEXT"}, {"security_protocol": "SSL"}, {"sasl_plain_password": "guess"}):
        with pytest.raises(KafkaError):
            KafkaAdminClient(**{**options, "bootstrap_timeout_ms": 2000, **wrong}).list_topics()


def test_valkey_refuses_a_client_without_the_password(secure_shop: RunningShop) -> None:
    host, _, port = secure_shop.addresses["valkey"].removeprefix("redis://").removesuffix("/0").partition(":")
    with redis.Redis(host, int(port)) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"passfile": os.devnull}, "no password supplied"),
        ({"password": "guess"}, "password authentication failed"),
        ({"sslmode": "disable"}, "no pg_hba.conf entry"),
        ({"sslrootcert": __file__}, "could not read root certificate file|no certificate|root certificate"),
    ],
)
def test_postgresql_refuses_a_client_without_password_or_encryption(
    secure_shop: RunningShop, wrong: dict[str, str], reason: str
) -> None:
    with psycopg.connect(secure_shop.addresses["postgres"]) as ours:
        row = ours.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    assert row == (True,)
    with pytest.raises(psycopg.OperationalError, match=reason):
        psycopg.connect(secure_shop.addresses["postgres"], **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [f"consume_{name}" for name in CONSUMERS])
def test_a_consumer_cannot_write_to_any_topic(secure_shop: RunningShop, credentials: Credentials, command: str) -> None:
    producer = KafkaProducer(**log_in(secure_shop, credentials, command), enable_idempotence=False)
    try:
        for topic in ("shop.payments", "shop.orders", "relay.canary"):
            with pytest.raises((TopicAuthorizationFailedError, KafkaError)) as refusal:
                producer.send(topic, key=b"forged", value=b"{}").get(timeout=20)
            assert isinstance(refusal.value, TopicAuthorizationFailedError), refusal.value
    finally:
        producer.close()


def test_a_consumer_reads_only_its_topics_in_its_own_group(secure_shop: RunningShop, credentials: Credentials) -> None:
    options = log_in(secure_shop, credentials, "consume_notifications")
    with closing(KafkaConsumer(**options)) as consumer:
        # Kafka hides the topics that a user may not read.
        assert consumer.topics() == {"shop.orders", "relay.canary"}
    stranger = KafkaConsumer("shop.orders", group_id="payments", enable_auto_commit=False, **options)
    with closing(stranger), pytest.raises(GroupAuthorizationFailedError):
        stranger.poll(timeout_ms=20_000)


def test_the_relay_may_not_read(secure_shop: RunningShop, credentials: Credentials) -> None:
    with closing(KafkaConsumer(**log_in(secure_shop, credentials, "run_relay"))) as consumer:
        consumer.assign([TopicPartition("shop.payments", 0)])
        consumer.seek_to_beginning()
        with pytest.raises(TopicAuthorizationFailedError):
            consumer.poll(timeout_ms=20_000)


@pytest.mark.parametrize(
    ("command", "user"),
    [("run_relay", "relay"), *((f"consume_{name}", name) for name in CONSUMERS), ("verify", "admin")],
)
def test_each_process_of_up_logs_in_as_itself(
    credentials: Credentials, settings: Settings, monkeypatch: pytest.MonkeyPatch, command: str, user: str
) -> None:
    settings.CREDENTIALS, settings.OUTSIDE_PARTS = credentials, set()
    settings.RELAY = dict(settings.RELAY)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setitem(settings.DATABASES, "default", {"OPTIONS": {}})
    monkeypatch.setattr("django.core.management.execute_from_command_line", lambda _: None)
    run_command(f"manage.py {command}")
    assert read_connection()["sasl_plain_username"] == user


@pytest.mark.parametrize(("variable", "value"), [("KAFKA_SASL_PASSWORD", "hunter2"), ("KAFKA_SSL_CA_FILE", "")])
def test_up_reports_why_a_kafka_of_your_own_refuses(
    secure_shop: RunningShop, credentials: Credentials, tmp_path: Path, variable: str, value: str
) -> None:
    access = {
        "KAFKA_BOOTSTRAP_SERVERS": secure_shop.addresses["kafka"],
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "relay",
        "KAFKA_SASL_PASSWORD": credentials.derive_password("kafka", "relay"),
        "KAFKA_SSL_CA_FILE": str(credentials.authority),
    }
    own = {"PORT": str(choose_port(9100)), "VAR_DIR": str(tmp_path / "var"), "SECURE": "0"}
    refused = run_up("--only", "valkey", **own, **access | {variable: value})
    assert refused.returncode == 1
    assert "KAFKA_BOOTSTRAP_SERVERS names a kafka that" in refused.stderr
    assert re.search("SaslAuthenticationFailedError|Check the user, the password and the certificates", refused.stderr)
    assert not [value for value in ("hunter2", access["KAFKA_SASL_PASSWORD"]) if value in refused.stderr]


def test_no_secret_is_shown(secure_shop: RunningShop, credentials: Credentials) -> None:
    """No password, and no key, is in a log, in the status, in the supervisor's files or in a command line."""
    hidden = [credentials.key, *credentials.list_kafka_users(["relay", *CONSUMERS]).values()]
    hidden += [credentials.derive_password(*at) for at in (("postgres", "postgres"), ("valkey", "default"))]
    shown = {"status": secure_shop.manage("status").stdout, "screen": secure_shop.screen.read_text(errors="replace")}
    for folder in ("log", "run"):
        for path in (secure_shop.var_dir / folder).rglob("*"):
            if path.is_file():
                shown[str(path)] = path.read_text(errors="replace")
    shown["command lines"] = "\n".join(" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
    assert len(shown) > 15
    assert [place for place, text in shown.items() if any(secret in text for secret in hidden)] == []


def test_only_the_owner_reads_the_credentials(secure_shop: RunningShop) -> None:
    files = {path.name: path for path in (secure_shop.var_dir / "secure").iterdir()}
    assert set(files) == {
        "key",
        "pgpass",
        "ca.pem",
        *(f"{part}{end}" for part in ("kafka", "postgres") for end in (".pem", ".key")),
    }
    files |= {"valkey.conf": secure_shop.var_dir / "valkey" / "valkey.conf"}
    files |= {"properties": secure_shop.var_dir / "kafka" / "node-1.properties"}
    assert {name for name, path in files.items() if path.stat().st_mode & 0o077} == set()
    for folder in ("secure", "kafka"):
        assert (secure_shop.var_dir / folder).stat().st_mode & 0o077 == 0


def test_the_folder_remembers_that_it_is_secure(secure_shop: RunningShop, credentials: Credentials) -> None:
    with psycopg.connect(secure_shop.addresses["postgres"]) as connection:
        connection.execute("create table kept as select 'before the stop' as at")
    secure_shop.stop()
    before = credentials.authority.read_text()
    port = secure_shop.environment["PORT"]
    refused = run_up(PORT=port, VAR_DIR=str(secure_shop.var_dir), SECURE="0")
    assert refused.returncode == 1
    assert "was created with SECURE=1: unset SECURE" in refused.stderr
    again = RunningShop(int(port), secure_shop.var_dir, only=("postgres", "kafka", "valkey"), SECURE="")
    again.start(120)
    try:
        assert credentials.authority.read_text() == before
        with psycopg.connect(again.addresses["postgres"]) as connection:
            assert connection.execute("select at from kept").fetchone() == ("before the stop",)
        shapes = again.manage("create_topics", "--check")
        assert shapes.returncode == 0, shapes.stderr
    finally:
        again.stop()


def test_data_without_passwords_do_not_become_secure_silently(tmp_path: Path) -> None:
    (tmp_path / "var" / "kafka").mkdir(parents=True)
    refused = run_up(PORT=str(choose_port(9700)), VAR_DIR=str(tmp_path / "var"), SECURE="1")
    assert refused.returncode == 1
    assert "was created without SECURE=1: set SECURE=0" in refused.stderr
    assert not (tmp_path / "var" / "secure").exists()


def test_a_password_for_kafka_without_an_address_is_refused(tmp_path: Path) -> None:
    access = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "me", "KAFKA_SASL_PASSWORD": "hunter2"}
    refused = run_up(PORT=str(choose_port(9700)), VAR_DIR=str(tmp_path / "var"), **access)
    assert refused.returncode == 1
    assert "KAFKA_SECURITY_PROTOCOL describes a Kafka of your own: set KAFKA_BOOTSTRAP_SERVERS" in refused.stderr
    assert "hunter2" not in refused.stderr
