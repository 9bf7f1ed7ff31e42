"""The proxy of docker-compose.yml: the real Caddy with the repository's Caddyfile, in front of a shop."""

import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from shop.embedded.processes import wait_until
from tests.client import make_order
from tests.embedded.slow_clients import (
    PATIENCE,
    UNFINISHED_BODY,
    UNFINISHED_HEAD,
    check_service,
    count_open,
    make_key,
    sending,
)
from tests.faults.counting import connect
from tests.plugin import choose_port
from tests.processes import end_process
from tests.running_shop import BASE_DIR, RunningShop

CADDY = Path(sys.executable).with_name("caddy")
FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X_Forwarded_For": "6.6.6.6",
    "X-Forwarded_Proto": "https",
}


@contextmanager
def running_caddy(folder: Path, web: str, site: str = "http://") -> Iterator[tuple[int, int]]:
    """Run Caddy in front of `web` until the block ends. Yield its ports for HTTP and HTTPS."""
    ports = (choose_port(8100), choose_port(8400))
    variables = {
        "SITE_ADDRESS": site,
        "WEB": web,
        "HTTP_PORT": str(ports[0]),
        "HTTPS_PORT": str(ports[1]),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    command = [str(CADDY), "run", "--config", str(BASE_DIR / "Caddyfile")]
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        assert wait_until(lambda: listens(ports[0]), seconds=60), (folder / "caddy.log").read_text()
        yield ports
    finally:
        end_process(process)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def has_certificate(port: int, root: Path) -> bool:
    """Return whether the server on `port` has a certificate of the authority `root` for localhost."""
    trusting = ssl.create_default_context(cafile=str(root))
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
        trusting.wrap_socket(connection, server_hostname="localhost"),
    ):
        return True
    return False


class Echo(BaseHTTPRequestHandler):
    """Responds to each request with the names and values of its headers, as JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """Return the address of a web that shows the headers that it has received."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop of PostgreSQL and the web with one product, MUG."""
    shop = RunningShop(
        choose_port(9400), tmp_path_factory.mktemp("proxied") / "var", only=("postgres", "web"), TRUSTED_PROXIES="1"
    )
    shop.start(90)
    with connect(shop) as database:
        database.execute("insert into catalogue_category (slug, name) values ('kitchen', 'Kitchen')")
        database.execute(
            "insert into catalogue_product (sku, name, description, price, currency, picture, is_active, created_at,"
            " category_id) select 'MUG', 'Mug', '', 1400, 'EUR', '', true, now(), id from catalogue_category"
        )
    yield shop
    shop.stop()
    shop.end_leftovers()


@pytest.fixture(scope="module")
def site(shop: RunningShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of the proxy in front of the shop."""
    with running_caddy(tmp_path_factory.mktemp("caddy"), shop.base_url.removeprefix("http://")) as (port, _):
        yield f"http://127.0.0.1:{port}"


def fetch(site: str, path: str, encoding: str = "") -> tuple[int, dict[str, str], bytes]:
    """Return status, headers with lower-case names, and body, which is not decompressed."""
    client = HTTPConnection(site.removeprefix("http://"), timeout=PATIENCE)
    client.request("GET", path, headers={"Accept-Encoding": encoding} if encoding else {})
    answer = client.getresponse()
    content = answer.read()
    client.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


@pytest.mark.parametrize("address", ["http://", "https://localhost", "shop.example.com"])
def test_the_configuration_is_valid(address: str) -> None:
    command = [str(CADDY), "validate", "--config", str(BASE_DIR / "Caddyfile")]
    done = subprocess.run(command, env={**os.environ, "SITE_ADDRESS": address}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_only_the_proxy_publishes_ports_and_only_on_this_machine() -> None:
    services = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in services["proxy"]["ports"])
    assert services["web"]["environment"]["TRUSTED_PROXIES"] == "${TRUSTED_PROXIES:-1}"


def test_unfinished_headers_and_bodies_do_not_block_others(site: str) -> None:
    with sending(site, UNFINISHED_HEAD, 200) as heads, sending(site, UNFINISHED_BODY, 200) as bodies:
        waits = [check_service(site, "MUG") for _ in range(5)]
        assert (count_open(heads), count_open(bodies)) == (200, 200)
    print(f"longest wait with 200 unfinished headers and 200 unfinished bodies: {max(waits):.3f} s")


def test_an_unfinished_body_is_given_up(site: str) -> None:
    with sending(site, UNFINISHED_BODY, 3) as bodies:
        assert wait_until(lambda: count_open(bodies) == 0, seconds=30)


def test_a_body_above_the_limit_is_refused(site: str) -> None:
    client = HTTPConnection(site.removeprefix("http://"), timeout=PATIENCE)
    headers = {"Content-Type": "application/json", **make_key()}
    for size, by_the_web in ((70_000, True), (200_000, False)):
        client.request("POST", "/api/v1/orders/", json.dumps(make_order(("MUG", 1))) + " " * size, headers)
        answer = client.getresponse()
        assert (answer.status, b"the limit is" in answer.read()) == (413, by_the_web)
        client.close()


def test_headers_above_the_limit_are_refused(site: str) -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"x" * 64 * 1024 + b"\r\n\r\n"
    with sending(site, head, 1) as (connection,):
        assert connection.recv(1000).startswith(b"HTTP/1.1 431")


def test_metrics_are_not_published(site: str) -> None:
    for path in ("/metrics", "/%6detrics", "/METRICS", "/./metrics"):
        assert fetch(site, path)[0] == 404, path


def test_pages_are_compressed_once(site: str) -> None:
    _, page, content = fetch(site, "/", "gzip, zstd")
    assert (page["content-encoding"], content[:2]) == ("gzip", b"\x1f\x8b")
    assert b"<html" in gzip.decompress(content)
    assert fetch(site, "/", "zstd")[1]["content-encoding"] == "zstd"
    assert "content-encoding" not in fetch(site, "/")[1]


def test_forwarding_headers_are_replaced_and_underscores_dropped(echo: str, tmp_path: Path) -> None:
    with running_caddy(tmp_path, echo) as (port, _):
        client = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/", headers=FORGED)
        got = [(name.lower(), value) for name, value in json.loads(client.getresponse().read())]
        client.close()
    assert [value for name, value in got if name == "x-forwarded-for"] == ["127.0.0.1"]
    assert [value for name, value in got if name == "x-forwarded-proto"] == ["http"]
    assert not [name for name, _ in got if "_" in name]


def test_tls_ends_at_the_proxy(echo: str, tmp_path: Path) -> None:
    with running_caddy(tmp_path, echo, "https://localhost") as (port, tls_port):
        root = tmp_path / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        assert wait_until(lambda: root.exists() and has_certificate(tls_port, root), seconds=60)
        trusting = ssl.create_default_context(cafile=str(root))
        client = HTTPSConnection("localhost", tls_port, timeout=PATIENCE, context=trusting)
        client.request("GET", "/", headers={"X-Forwarded-Proto": "http"})
        got = {name.lower(): value for name, value in json.loads(client.getresponse().read())}
        client.close()
        plain = HTTPConnection("localhost", port, timeout=PATIENCE)
        plain.request("GET", "/cart/")
        answer = plain.getresponse()
        plain.close()
    assert got["x-forwarded-proto"] == "https"
    assert (answer.status, answer.getheader("Location")) == (308, "https://localhost/cart/")
