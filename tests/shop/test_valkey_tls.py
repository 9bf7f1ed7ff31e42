"""Celery, doorbell and rate limits reach a Valkey with TLS, and refuse a server that the CA file does not vouch for."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from shop.embedded.certificates import create_certificates
from shop.environment import read_valkey


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    create_certificates(folder, ["valkey"])
    (folder / "other").mkdir()
    create_certificates(folder / "other", [])
    return folder


@pytest.fixture(scope="module")
def encrypted(parts: object, certificates: Path) -> Iterator[str]:
    """Yield the address of a server that decrypts each connection and forwards it to the Valkey of the tests."""
    valkey = urlsplit(settings.CELERY_BROKER_URL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "valkey.pem", certificates / "valkey.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=forward, args=(connection,), daemon=True).start()

    def forward(connection: socket.socket) -> None:
        address = (valkey.hostname or "", valkey.port or 0)
        with (
            suppress(OSError),
            context.wrap_socket(connection, server_side=True) as client,
            socket.create_connection(address) as server,
        ):
            threading.Thread(target=copy, args=(server, client), daemon=True).start()
            copy(client, server)

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        password = f":{valkey.password}@" if valkey.password else ""
        yield f"rediss://{password}127.0.0.1:{listener.getsockname()[1]}/1"


def ping_as_celery(url: str) -> None:
    with Connection(url, connect_timeout=3) as connection:  # type: ignore[no-untyped-call]
        connection.ensure_connection(max_retries=1, interval_start=0)
        connection.default_channel.client.ping()


def ping_as_limits(url: str) -> None:
    with redis.Redis.from_url(url) as valkey:
        assert valkey.ping()


@pytest.mark.parametrize("ping", [ping_as_celery, ping_as_limits])
def test_every_client_accepts_only_the_server_of_its_ca_file(
    encrypted: str, certificates: Path, monkeypatch: pytest.MonkeyPatch, ping: object
) -> None:
    def read(query: str = "") -> str:
        monkeypatch.setenv("CELERY_BROKER_URL", encrypted + query)
        return read_valkey("CELERY_BROKER_URL", "")

    ping(read(f"?ssl_ca_certs={certificates / 'ca.pem'}"))  # type: ignore[operator]
    for untrusted in ("", f"?ssl_ca_certs={certificates / 'other' / 'ca.pem'}"):
        with pytest.raises((redis.ConnectionError, OperationalError), match="CERTIFICATE_VERIFY_FAILED"):
            ping(read(untrusted))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rediss://:hunter2@h/0?ssl_ca_certs=/no/ca.pem", "LIMITS_URL: ssl_ca_certs='/no/ca.pem' can't be read"),
        ("rediss://:hunter2@h/0?ssl_cert_reqs=maybe", "LIMITS_URL: ssl_cert_reqs='maybe' is not one of"),
        ("redis://:hunter2@h/0?ssl_ca_certs=/ca.pem", "LIMITS_URL has options of TLS, but its scheme is redis"),
        ("http://:hunter2@h/0", "LIMITS_URL is not a valid address: give one like redis://"),
    ],
)
def test_a_wrong_address_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str, message: str) -> None:
    monkeypatch.setenv("LIMITS_URL", url)
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_valkey("LIMITS_URL", "")
    assert str(refusal.value).startswith(message)
    assert "hunter2" not in str(refusal.value)
