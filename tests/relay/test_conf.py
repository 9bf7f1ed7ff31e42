"""Wrong settings are refused when the process starts, with a message that names the key."""

from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from relay.conf import configuration


def test_every_key_has_a_default(settings: Settings) -> None:
    del settings.RELAY
    assert configuration().bootstrap_servers == ["localhost:9092"]
    settings.RELAY = {"PARTITIONS": 6}
    assert (configuration().partitions, configuration().replication, configuration().keep_days) == (6, 1, 30)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"PARTITION": 6}, "unknown field `PARTITION`"),
        ({"PARTITIONS": 0}, "Expected `int` >= 1 - at `$.PARTITIONS`"),
        ({"BOOTSTRAP_SERVERS": "kafka:9092"}, "Expected `array`, got `str` - at `$.BOOTSTRAP_SERVERS`"),
        ({"RETENTION_MS": {"logs": "a week"}}, "Expected `int`, got `str` - at `$.RETENTION_MS[...]`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_wrong_key_is_named_when_the_process_starts(settings: Settings, wrong: Any, words: str) -> None:
    settings.RELAY = wrong
    with pytest.raises(ImproperlyConfigured) as refused:
        apps.get_app_config("relay").ready()
    assert str(refused.value).startswith("settings.RELAY: ")
    assert words in str(refused.value)
