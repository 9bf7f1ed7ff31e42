"""Each system check of the relay finds its fault and gives a hint, and the shop's settings pass all of them."""

from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, connections
from psycopg import IsolationLevel
from pytest_django.fixtures import Settings

from relay import checks
from relay.consumer.command import ConsumeCommand
from relay.publisher.topics import known_events


def find_ids(**options: Any) -> list[str | None]:
    """Run the relay's checks and return the ids of their messages; each message needs a hint."""
    found: list[CheckMessage] = [m for m in run_checks(**options) if (m.id or "").startswith("relay.")]
    assert all(message.hint for message in found)
    return [message.id for message in found]


@pytest.mark.django_db
def test_the_settings_of_the_shop_pass() -> None:
    assert find_ids(databases=["default"]) == []


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("EVENTS", "library.evnts"),
        ("CONSUMERS", "library.handlers.consumer"),
        ("CONSUMERS", "tests.relay.operated.nobody"),
        ("CONSUMERS", "consumer"),
    ],
)
def test_a_module_that_is_not_there_is_e001(settings: Settings, key: str, name: str) -> None:
    settings.RELAY = {**settings.RELAY, key: [name]}
    known_events.cache_clear()
    apps.get_app_config("relay").ready()  # leaves it to the check
    (message,) = checks.check_modules()
    assert message.id == "relay.E001"
    assert message.msg.startswith(f'RELAY["{key}"] names {name!r}: ')
    with pytest.raises(SystemCheckError, match=r"relay\.E001"):
        call_command("check")


@pytest.mark.parametrize("command", ["run_relay", ConsumeCommand()])
def test_relay_and_consumers_do_not_start_without_a_module(settings: Settings, command: Any) -> None:
    settings.RELAY = {**settings.RELAY, "EVENTS": ["library.evnts"]}
    known_events.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="library"):
        call_command(command)


@pytest.mark.parametrize(
    ("level", "ids"),
    [
        (IsolationLevel.READ_COMMITTED, []),
        (IsolationLevel.SERIALIZABLE, ["relay.E002"]),
        (3, ["relay.E002"]),
        ("repeatable read", ["relay.E002"]),
    ],
)
def test_another_isolation_level_in_the_options_is_e002(
    monkeypatch: pytest.MonkeyPatch, level: object, ids: list[str]
) -> None:
    options = {**connections.databases["default"].get("OPTIONS", {}), "isolation_level": level}
    monkeypatch.setitem(connections.databases["default"], "OPTIONS", options)
    assert find_ids(tags=["relay"]) == ids


@pytest.mark.django_db
def test_another_isolation_level_in_the_database_is_e002() -> None:
    with connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read")
    assert find_ids(databases=["default"]) == ["relay.E002"]


@pytest.mark.django_db
def test_a_sequence_with_a_cache_is_e003() -> None:
    with connection.cursor() as cursor:
        cursor.execute("alter sequence relay_outbox_position_seq cache 20")
    assert find_ids(databases=["default"]) == ["relay.E003"]
    assert find_ids() == []  # nothing queries a database that was not chosen


@pytest.mark.django_db
def test_a_clock_that_differs_is_w002(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.database.fitness.CLOCK_SECONDS", -1.0)
    assert find_ids(databases=["default"]) == ["relay.W002"]


def test_an_alias_that_is_not_there_is_e004(settings: Settings) -> None:
    settings.RELAY = {**settings.RELAY, "DATABASE": "events"}
    (message,) = checks.check_alias()
    assert message.id == "relay.E004"
    assert message.msg == "RELAY[\"DATABASE\"] is 'events', but DATABASES has no such alias."
    assert message.hint == f"Choose one of {', '.join(sorted(connections.databases))}, or add the alias to DATABASES."
    assert checks.check_database(databases=["events"]) == []


def test_another_database_than_postgresql_is_e004(settings: Settings) -> None:
    connections.databases["lite"] = {
        **connections.databases["default"],
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {},
    }
    settings.RELAY = {**settings.RELAY, "DATABASE": "lite"}
    try:
        (message,) = checks.check_alias()
    finally:
        del connections["lite"], connections.databases["lite"]
    assert (message.id, message.msg) == ("relay.E004", "RELAY[\"DATABASE\"] is 'lite', a database of sqlite.")


@pytest.mark.parametrize(
    ("missing", "ids"),
    [({"kafka"}, ["relay.E005"]), ({"lz4"}, ["relay.E005"]), ({"crc32c"}, ["relay.W001"])],
)
def test_a_missing_package_of_the_client_is_e005(
    monkeypatch: pytest.MonkeyPatch, missing: set[str], ids: list[str]
) -> None:
    monkeypatch.setattr(checks, "_is_installed", lambda package: package not in missing)
    assert find_ids(tags=["relay"]) == ids
