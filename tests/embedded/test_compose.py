"""docker-compose.yml starts the same processes as the supervisor, and in production only with safe settings."""

import re
from typing import Any

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from shop.embedded.flink import COMMON
from shop.embedded.jars import FLINK
from shop.embedded.parts import WATCH_FLINK, list_commands
from tests.embedded.compose import COMPOSE, interpolate, read_services
from tests.shop.environment import SAFE, manage, read_documented_variables

LINT = "{extends: default, rules: {line-length: {max: 140}, braces: {max-spaces-inside: 1}}}"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return read_services()


def test_it_runs_the_supervisors_processes_by_the_same_commands(services: dict[str, Any]) -> None:
    ours = {name: service["command"] for name, service in services.items() if service["image"] == "shop"}
    assert (ours.pop("settings"), ours.pop("setup")) == ("manage.py check", "manage.py set_up")
    assert (ours.pop("flink-setup"), ours.pop("flinkwatch")) == (
        "manage.py prepare_flink /flink /flink-jars",
        WATCH_FLINK,
    )
    assert ours == list_commands("0.0.0.0:8000", "0.0.0.0:8100", "0.0.0.0:8200")


def test_flink_runs_on_request_with_the_same_settings(services: dict[str, Any]) -> None:
    names = {name for name, service in services.items() if "flink" in service.get("profiles", [])}
    assert names == {"flink-setup", "flink-jobs", "flink-tasks", "flinkwatch"}
    for name in ("flink-jobs", "flink-tasks"):
        given = yaml.safe_load(services[name]["environment"]["FLINK_PROPERTIES"])
        assert {key: given.get(key) for key in COMMON} == COMMON
    version = next(jar for jar in FLINK.read_pinned() if "flink-dist" in jar).split(":")[2]
    assert services["flink-jobs"]["image"] == f"flink:{version}-java17"


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
    jobs = {"settings": "no", "setup": "on-failure", "flink-setup": "on-failure"}
    for name, service in services.items():
        assert service["restart"] == jobs.get(name, "unless-stopped")
        assert name in jobs or "test" in service["healthcheck"], name


def test_nothing_starts_before_what_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if service["image"] == "shop" and name not in ("settings", "setup"):
            assert service["depends_on"]["setup"]["condition"] == "service_completed_successfully", name
        elif name not in ("settings", "setup"):
            assert service["depends_on"]["settings"]["condition"] == "service_completed_successfully", name
    assert not services["settings"]["depends_on"]
    assert set(services["setup"]["depends_on"]) == {"postgres", "kafka-1", "kafka-2", "kafka-3"}


def test_the_file_is_well_formed() -> None:
    problems = [str(problem) for problem in linter.run(COMPOSE.read_text(), YamlLintConfig(LINT))]
    assert problems == []


def test_production_and_nothing_else_is_refused_with_all_reasons_at_once() -> None:
    done = manage("check", **read_services(PRODUCTION="1")["settings"]["environment"])
    assert done.returncode == 1
    for name in ("SECRET_KEY", "ALLOWED_HOSTS", "EMAIL_URL", "PAYMENT_GATEWAY", "SMS_PROVIDER"):
        assert name in done.stderr
    assert "The database password is a well-known one." in done.stderr and "POSTGRES_PASSWORD" in done.stderr
    assert "KAFKA_SECURITY_PROTOCOL is PLAINTEXT" in done.stderr


def test_with_all_required_variables_production_starts() -> None:
    given = {name: value for name, value in SAFE.items() if name != "DATABASE_URL"} | {
        "POSTGRES_PASSWORD": "l0ngRandom"
    }
    services = read_services(**given)
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "l0ngRandom"
    for name, service in services.items():
        if service["image"] == "shop":
            assert service["environment"] == services["settings"]["environment"], name
    done = manage("check", **services["settings"]["environment"])
    assert done.returncode == 0, done.stderr


def test_without_any_variable_it_is_a_demo_on_this_machine(services: dict[str, Any]) -> None:
    done = manage("check", **services["settings"]["environment"])
    assert done.returncode == 0, done.stderr
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_every_documented_variable_is_passed_and_every_passed_one_is_documented(services: dict[str, Any]) -> None:
    documented = read_documented_variables()
    used = set(re.findall(r"[$][{](\w+)", COMPOSE.read_text("utf-8")))
    assert used == {name for name, meaning in documented.items() if not meaning.startswith("`make up` only")}
    passed = read_services(**dict.fromkeys(used, "given"))["web"]["environment"]
    assert {name for name in used if passed.get(name) != "given"} == {
        *("PORT", "POSTGRES_PASSWORD", "SITE_ADDRESS", "BIND", "TLS_PORT")
    }


def test_the_interpolation_of_these_tests_follows_the_specification() -> None:
    text = "${A} ${A:-x} ${B:-x} ${B:-${A}-${C:-y}} ${A:+z}${B:+z} $$A"
    assert interpolate(text, {"A": "1", "B": ""}) == "1 1 x 1-y z $A"
    for wrong in ("${B:?is missing}", "${B-x}", "$A"):
        with pytest.raises(ValueError, match=r"is missing|unknown form"):
            interpolate(wrong, {"A": "1"})
