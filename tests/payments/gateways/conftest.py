"""Two replacements of Stripe: localstripe in a process, and a stub that records requests and loses answers."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.plugin import choose_port
from tests.processes import end_process


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start localstripe and yield its address."""
    port = choose_port(7500)  # not a port that the system gives to connections of other processes
    folder: Path = tmp_path_factory.mktemp("localstripe")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parent / "localstripe_server.py"),
                "--port",
                str(port),
                "--from-scratch",
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        end_process(process)


class Stub(BaseHTTPRequestHandler):
    """A stub of Stripe that stores an answer for each Idempotency-Key and loses some answers on their way."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str]]
    made: dict[str, dict[str, Any]]
    disturb: Callable[[int], int | None]
    #: Disputes of customers.
    disputes: list[dict[str, Any]]
    #: Stored errors: the status that is repeated for each of these idempotency keys.
    refuses: dict[str, int]
    #: The status of a captured intent.
    captured_is: str
    #: Whether bodies arrive in parts of one byte.
    drips: bool
    #: Maximum number of objects per page.
    page: int
    #: The bank's current decision about all refunds: status and failure reason.
    refunds_are: tuple[str, str | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        key = self.headers.get("Idempotency-Key", "")
        self.asked.append((self.command, self.path, key))
        if status := type(self).refuses.get(key):
            self.answer({}, status)
            return
        if self.path == "/v1/refunds":
            self.answer(self.show_refund(self.made.setdefault(key, {"metadata": {"key": key}})))
            return
        if self.path.endswith("/cancel"):
            intent = next(iter(self.made.values()))
            intent["status"] = "canceled"
            self.answer(intent)
            return
        if self.path.endswith("/capture"):
            self.made[next(iter(self.made))]["status"] = type(self).captured_is
            self.answer(next(iter(self.made.values())))
            return
        if key not in self.made:
            self.made[key] = {
                **{"id": f"pi_{len(self.made)}", "object": "payment_intent", "status": "requires_capture"},
                **{"amount": 500, "currency": "eur", "created": int(time.time()), "metadata": {"key": key}},
            }
        assert "confirm=true" in body
        self.answer(self.made[key])

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Idempotency-Key", "")))
        if self.path.startswith("/v1/payment_intents/"):
            self.answer(next(iter(self.made.values())))
            return
        refunds = [self.show_refund(made) for key, made in self.made.items() if ":refund:" in key]
        intents = [made for key, made in self.made.items() if ":refund:" not in key]
        kind = urlsplit(self.path).path.rpartition("/")[2]
        self.list({"refunds": refunds, "payment_intents": intents, "disputes": self.disputes}[kind])

    def list(self, found: list[dict[str, Any]]) -> None:
        """Answer with the page of `found` that the query requests, newest first."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        first, last = int(query.get("created[gte]", "0")), int(query.get("created[lte]", "9999999999"))
        found = sorted((item for item in found if first <= item["created"] <= last), key=lambda item: -item["created"])
        ids = [item["id"] for item in found]
        begin = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        end = begin + min(int(query["limit"]), type(self).page)
        page = {"object": "list", "data": found[begin:end], "has_more": end < len(found), "url": "/v1"}
        self.answer(page)

    def show_refund(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return the full refund of the only intent, with the bank's current decision."""
        status, reason = type(self).refunds_are
        return {
            **{"id": "re_0", "object": "refund", "payment_intent": "pi_0", "amount": 500, "currency": "eur"},
            **{"created": int(time.time()), "status": status, "failure_reason": reason, **made},
        }

    def answer(self, value: dict[str, Any], status: int = 0) -> None:
        status = type(self).disturb(len(self.asked)) or status or 200
        if status == 1:  # no answer at all
            time.sleep(0.6)
            self.close_connection = True
            return
        content = json.dumps(value if status == 200 else {"error": {"message": "scripted"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if type(self).drips:
            with suppress(OSError):
                for byte in content:
                    time.sleep(0.05)
                    self.wfile.write(bytes([byte]))
            return
        self.wfile.write(content)

    @staticmethod
    def now() -> int:
        """Return the time of Stripe's clock in seconds since 1970."""
        return int(time.time())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def stub(settings: Any) -> Iterator[type[Stub]]:
    """Run a stub of Stripe as the shop's payment gateway and yield its class."""
    fresh = {"asked": [], "made": {}, "disturb": staticmethod(lambda n: None), "refunds_are": ("succeeded", None)}
    fresh |= {"disputes": [], "refuses": {}, "page": 100, "captured_is": "succeeded", "drips": False}
    handler = type("OneStub", (Stub,), fresh)
    settings.PAYMENT_GATEWAY = "payments.gateways.stripe.StripeGateway"
    settings.GATEWAY_READ_SECONDS = 3
    settings.STRIPE_KEY = "sk_test_1"
    settings.STRIPE_WEBHOOK_SECRET = "whsec_1"
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        settings.STRIPE_URL = f"http://127.0.0.1:{server.server_port}"
        yield handler
        server.shutdown()
