"""The variables for access to Kafka become options of each client, and a wrong one is named without any secret."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from relay.process.connection import read_connection
from shop.embedded.certificates import create_certificates
from shop.kafka_security import VARIABLES, read_kafka_security

LOG_IN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_USERNAME": "relay",
    "KAFKA_SASL_PASSWORD": "hunter2",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    create_certificates(folder, ["client"])
    return folder


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def read(monkeypatch: pytest.MonkeyPatch, **variables: object) -> dict[str, object]:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return read_kafka_security()


def test_without_variables_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch) == {}
    assert read(monkeypatch, KAFKA_SECURITY_PROTOCOL="", KAFKA_SASL_USERNAME="") == {}


def test_every_variable_reaches_the_clients(
    monkeypatch: pytest.MonkeyPatch, certificates: Path, settings: object
) -> None:
    files = {"CA": "ca.pem", "CERT": "client.pem", "KEY": "client.key"}
    given = {f"KAFKA_SSL_{kind}_FILE": certificates / name for kind, name in files.items()}
    options = read(monkeypatch, **LOG_IN, KAFKA_SASL_MECHANISM="SCRAM-SHA-256", **given)
    assert options == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "relay",
        "sasl_plain_password": "hunter2",
        "ssl_cafile": str(certificates / "ca.pem"),
        "ssl_certfile": str(certificates / "client.pem"),
        "ssl_keyfile": str(certificates / "client.key"),
    }
    settings.RELAY = {**settings.RELAY, "CLIENT_OPTIONS": options}  # type: ignore[attr-defined]
    assert options.items() <= read_connection().items()


def test_scram_with_sha_512_is_the_default_mechanism(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, **LOG_IN)["sasl_mechanism"] == "SCRAM-SHA-512"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL='TLS' is not one of 'PLAINTEXT', 'SSL'"),
        ({**LOG_IN, "KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM='GSSAPI' is not one of"),
        ({**LOG_IN, "KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME is not set: KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
        ({**LOG_IN, "KAFKA_SASL_PASSWORD": ""}, "KAFKA_SASL_PASSWORD is not set: KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
        (
            {**LOG_IN, "KAFKA_SECURITY_PROTOCOL": ""},
            "KAFKA_SASL_USERNAME is set, but KAFKA_SECURITY_PROTOCOL='PLAINTEXT'",
        ),
        ({**LOG_IN, "KAFKA_SECURITY_PROTOCOL": "SSL"}, "KAFKA_SASL_USERNAME is set, but KAFKA_SECURITY_PROTOCOL='SSL'"),
        (
            {**LOG_IN, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_FILE": "/ca.pem"},
            "KAFKA_SSL_CA_FILE is set, but KAFKA_SECURITY_PROTOCOL='SASL_PLAINTEXT' ignores it",
        ),
        ({**LOG_IN, "KAFKA_SSL_CA_FILE": "/no/ca.pem"}, "KAFKA_SSL_CA_FILE='/no/ca.pem' can't be read: No such file"),
        ({**LOG_IN, "KAFKA_SSL_CA_FILE": __file__}, f"KAFKA_SSL_CA_FILE: {__file__} can't be used"),
        ({**LOG_IN, "KAFKA_SSL_CERT_FILE": __file__}, "KAFKA_SSL_KEY_FILE is not set: KAFKA_SSL_CERT_FILE requires it"),
        ({**LOG_IN, "KAFKA_SSL_KEY_FILE": __file__}, "KAFKA_SSL_CERT_FILE is not set: KAFKA_SSL_KEY_FILE requires it"),
        (
            {**LOG_IN, "KAFKA_SSL_CERT_FILE": __file__, "KAFKA_SSL_KEY_FILE": __file__},
            f"KAFKA_SSL_CERT_FILE, KAFKA_SSL_KEY_FILE: {__file__}, {__file__} can't be used",
        ),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(monkeypatch, **variables)
    assert str(refusal.value).startswith(message)
    assert "hunter2" not in str(refusal.value)
