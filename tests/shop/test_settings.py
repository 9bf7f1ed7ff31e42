"""An invalid environment variable ends each command with a message that names the variable, but shows no secret."""

import json
from typing import Any

import pytest

from shop.environment import describe_session, name_process
from tests.shop.environment import manage

SHOWN = [
    "PORT",
    "DEBUG",
    "PRODUCTION",
    "ALLOWED_HOSTS",
    "KAFKA_BOOTSTRAP_SERVERS",
    "CELERY_BROKER_URL",
    "OUTSIDE_PARTS",
]
SHOW = f"""
import json
from django.conf import settings
shown = {{name: getattr(settings, name) for name in {SHOWN}}}
print(json.dumps({{"DATABASE": settings.DATABASES["default"], **shown}}, default=list))
"""


def read_settings(**variables: str) -> dict[str, Any]:
    """Return the settings SHOWN for these environment variables."""
    done = manage("shell", "-v0", "-c", SHOW, **variables)
    assert done.returncode == 0, done.stderr
    settings: dict[str, Any] = json.loads(done.stdout)
    return settings


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORT", "abc", "'abc'"),
        ("PORT", "70000", "'70000'"),
        ("KAFKA_PORT", "0", "'0'"),
        ("DEBUG", "maybe", "'maybe'"),
        ("PRODUCTION", "perhaps", "'perhaps'"),
        ("EMBEDDED", "x", "'x'"),
        ("BROKERS", "2", "'2'"),
        ("LOG_LEVEL", "LOUD", "'LOUD'"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker:9092,elsewhere", "'elsewhere'"),
        ("DATABASE_URL", "nonsense", "postgres://"),
        ("DATABASE_URL", "mysql://me:hunter2@host/shop", "postgres://"),
        ("DATABASE_URL", "postgres://me:hunter2@host:port/shop", "postgres://"),
        ("DATABASE_URL", "postgres://me:hunter2@host", "contains no database name"),
        ("DATABASE_URL", "postgres://me:hunter2@host/shop?sslmode=on", "sslmode='on' is not one of disable, allow"),
        ("DATABASE_URL", "postgres://me:hunter2@host/shop?sslrootcert=/no.pem", "sslrootcert='/no.pem' can't be read"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "'TLS'"),
        ("KAFKA_SASL_PASSWORD", "hunter2", "KAFKA_SECURITY_PROTOCOL='PLAINTEXT' ignores it"),
        ("CELERY_BROKER_URL", "rediss://:hunter2@host/0?ssl_ca_certs=/no.pem", "ssl_ca_certs='/no.pem' can't be read"),
        ("CELERY_BROKER_URL", "amqp://me:hunter2@host", "redis://"),
        ("PAYMENT_GATEWAY", "cash", "'cash'"),
        ("GATEWAY_READ_SECONDS", "0", "'0'"),
        ("ANALYTICS_ARCHIVE_DIR", "var/archive", "'var/archive' is not an absolute path"),
        ("PAYMENT_HOLD_DAYS", "1", "'1' is not a number of days: give a number from 2 to 365"),
        ("PAYMENT_HOLD_DAYS", "a week", "'a week'"),
        ("EMAIL_URL", "pigeon://me:hunter2@host", "smtp"),
        ("SECRET_KEY_FALLBACKS", "hunter2,,hunter3", "key 2 is empty"),
        ("SECRET_KEY_FALLBACKS", f"for-this-machine-only-{'0123456789abcdef' * 3}", "key 1 is SECRET_KEY itself"),
        ("SECRET_KEY_FALLBACKS", f"{'hunter2' * 9},{'hunter2' * 9}", "key 2 is SECRET_KEY itself or an earlier key"),
    ],
)
def test_a_bad_variable_is_named_with_its_value_in_one_line(variable: str, value: str, words: str) -> None:
    done = manage("check", **{variable: value})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(variable)
    assert words in line
    assert "hunter2" not in line


def test_without_any_variable_everything_is_on_this_machine() -> None:
    settings = read_settings()
    assert (settings["PORT"], settings["DEBUG"], settings["PRODUCTION"]) == (8000, False, False)
    assert settings["OUTSIDE_PARTS"] == []
    assert settings["DATABASE"]["HOST"] == "127.0.0.1"
    # Compose files often set empty variables, which must count as not set.
    assert read_settings(DATABASE_URL="", KAFKA_BOOTSTRAP_SERVERS="", CELERY_BROKER_URL="", PORT="") == settings


def test_outside_parts_replace_those_of_this_machine() -> None:
    settings = read_settings(
        DATABASE_URL="postgres://me:hunter2@db.example:6432/shop?sslmode=require",
        KAFKA_BOOTSTRAP_SERVERS="k1.example:9092, k2.example:9092",
        CELERY_BROKER_URL="rediss://valkey.example/3",
    )
    assert sorted(settings["OUTSIDE_PARTS"]) == ["kafka", "postgres", "valkey"]
    database = settings["DATABASE"]
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", 6432, "shop")
    assert database["OPTIONS"]["sslmode"] == "require"
    assert "statement_timeout" in database["OPTIONS"]["options"]
    assert settings["KAFKA_BOOTSTRAP_SERVERS"] == ["k1.example:9092", "k2.example:9092"]
    assert settings["CELERY_BROKER_URL"] == "rediss://valkey.example/3?ssl_cert_reqs=required"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("manage.py run_relay", "shop run_relay"),
        ("/srv/shop/manage.py consume_orders --x", "shop consume_orders"),
        ("celery -A shop --quiet worker --pool threads", "shop worker"),
        ("/usr/bin/celery -A shop --quiet beat", "shop beat"),
        ("granian --interface wsgi --port 8000 shop.wsgi:application", "shop granian"),
        ("manage.py", "shop manage.py"),
        ("", "shop "),
    ],
)
def test_a_connection_says_which_process_it_belongs_to(command: str, name: str) -> None:
    assert name_process(command.split()) == name


@pytest.mark.parametrize(
    ("command", "keeps_plans", "by_index"),
    [
        ("manage.py consume_inventory", True, True),
        ("manage.py run_relay", True, True),
        ("manage.py run_live", True, True),
        ("celery -A shop --quiet worker --pool threads", True, True),
        ("granian --interface wsgi shop.wsgi:application", False, True),
        ("manage.py verify --wait 60", False, False),
    ],
)
def test_processes_that_look_rows_up_by_a_key_keep_plans_and_read_no_whole_table(
    command: str, keeps_plans: bool, by_index: bool
) -> None:
    session = describe_session(command.split())
    assert (session["prepare_threshold"] == 5) is keeps_plans
    assert ("-c enable_seqscan=off" in str(session["options"])) is by_index
    assert "-c statement_timeout=30s" in str(session["options"])
