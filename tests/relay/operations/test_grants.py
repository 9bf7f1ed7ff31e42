"""create_acls lists what relay and consumers need. tests/embedded/test_secure_shop.py shows that Kafka enforces it."""

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from tests.relay.operated import operate, operate_json


@pytest.fixture(autouse=True)
def two_consumers(settings: Settings) -> None:
    paths = ["inventory.handlers.consumer", "analytics.handlers.consumer"]
    settings.RELAY = {**settings.RELAY, "EVENTS": ["shop.events"], "CONSUMERS": paths}


def test_the_relay_writes_and_a_consumer_reads_only_its_topics_in_its_group() -> None:
    lines = operate("create_acls", "--dry-run", "--user", "relay=shop-relay", "--user", "analytics=figures").split("\n")
    assert "shop-relay may WRITE TOPIC shop.payments" in lines
    assert [line for line in lines if line.startswith("inventory ")] == [
        "inventory may READ TOPIC shop.orders",
        "inventory may READ TOPIC relay.canary",
        "inventory may READ GROUP inventory",
    ]
    assert "figures may READ TOPIC shop.activity" in lines
    assert "figures may READ GROUP analytics" in lines
    assert [line for line in lines if "WRITE" in line and not line.startswith("shop-relay ")] == []


def test_the_grants_are_available_as_json() -> None:
    grants = operate_json("create_acls", "--dry-run")["grants"]
    assert {"user": "analytics", "operation": "READ", "kind": "GROUP", "name": "analytics"} in grants


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("relay", "--user 'relay' is not PROCESS=USER"),
        ("=me", "--user '=me' is not PROCESS=USER"),
        ("web=me", "unknown process web: choose from relay, inventory, analytics"),
    ],
)
def test_a_wrong_user_is_named(pair: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        operate("create_acls", "--dry-run", "--user", pair)


@pytest.mark.usefixtures("parts")
def test_a_cluster_without_an_authorizer_is_reported() -> None:
    with pytest.raises(CommandError, match="SecurityDisabledError"):
        operate("create_acls")
