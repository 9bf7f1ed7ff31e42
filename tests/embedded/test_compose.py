"""docker-compose.yml starts the same processes as the supervisor."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from shop.embedded.parts import list_commands

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
LINT = "{extends: default, rules: {line-length: {max: 140}, braces: {max-spaces-inside: 1}}}"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def test_it_runs_the_supervisors_processes_by_the_same_commands(services: dict[str, Any]) -> None:
    ours = {name: service["command"] for name, service in services.items() if service["image"] == "shop"}
    del ours["setup"]
    assert ours == list_commands("0.0.0.0:8000", "0.0.0.0:8100", "0.0.0.0:8200")


def test_every_record_is_kept_by_three_brokers_and_acknowledged_by_two(services: dict[str, Any]) -> None:
    brokers = [service for name, service in services.items() if name.startswith("kafka-")]
    assert len(brokers) == 3
    assert len({broker["environment"]["KAFKA_NODE_ID"] for broker in brokers}) == 3
    for broker in brokers:
        settings = broker["environment"]
        assert broker["image"] == "apache/kafka:4.3.1"
        assert {value for name, value in settings.items() if name.endswith("REPLICATION_FACTOR")} == {"3"}
        assert {value for name, value in settings.items() if name.endswith(("MIN_ISR", "MIN_INSYNC_REPLICAS"))} == {"2"}
        assert settings["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_everything_is_watched_and_restarted(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["restart"] == ("on-failure" if name == "setup" else "unless-stopped")
        assert name == "setup" or "test" in service["healthcheck"], name


def test_nothing_starts_before_what_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if service["image"] == "shop" and name != "setup":
            assert service["depends_on"]["setup"]["condition"] == "service_completed_successfully", name
    assert set(services["setup"]["depends_on"]) == {"postgres", "kafka-1", "kafka-2", "kafka-3"}


def test_the_file_is_well_formed() -> None:
    problems = [str(problem) for problem in linter.run(COMPOSE.read_text(), YamlLintConfig(LINT))]
    assert problems == []
