"""A customer of the running shop, who places orders by the API and retries until there is an answer."""

import itertools
import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

ADDRESS = {"name": "Ada Test", "line1": "Testweg 1", "postal_code": "10115", "city": "Berlin", "country": "DE"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `seconds` is the client's waiting time."""

    status: int
    body: Any
    headers: dict[str, str]
    seconds: float


def call(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 15) -> Answer:
    """Send a request and return the answer, which may be an HTTP error.

    :raises OSError: there was no answer, so the outcome is unknown.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return _read(answer.status, answer.read(), dict(answer.headers), began)
    except urllib.error.HTTPError as error:
        return _read(error.code, error.read(), dict(error.headers), began)


def _read(status: int, body: bytes, headers: dict[str, str], began: float) -> Answer:
    seconds = time.monotonic() - began
    try:
        return Answer(status, json.loads(body), headers, seconds)
    except ValueError:
        return Answer(status, body.decode(errors="replace"), headers, seconds)


def make_address() -> str:
    """Return an e-mail address that no other order has."""
    return f"ada-{uuid4().hex}@example.com"


def make_order(*lines: tuple[str, int], token: str = "tok_ok", **fields: Any) -> dict[str, Any]:
    """Return the body of a request to place an order with `lines` of (sku, quantity), with an address of its own.

    The shop limits the letters to one address.
    """
    return {
        "email": make_address(),
        "shipping_address": ADDRESS,
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
        "payment_token": token,
        **fields,
    }


@dataclass
class Customer:
    """A customer of the shop at `base_url`."""

    base_url: str

    def place(self, body: dict[str, Any], key: str | None = None, timeout: float = 15) -> Answer:
        """Place an order and return the answer."""
        headers = {"Idempotency-Key": key or str(uuid4())}
        return call("POST", f"{self.base_url}/api/v1/orders/", body, headers, timeout)

    def read(self, placed: Answer) -> Any:
        """Return the current state of a placed order."""
        url = f"{self.base_url}/api/v1/orders/{placed.body['id']}/"
        return call("GET", url, headers={"X-Order-Token": placed.body["access_token"]}).body

    def wait_for(self, placed: Answer, *statuses: str, seconds: float = 60) -> Any:
        """Read an order until it has one of `statuses`, and return it.

        :raises AssertionError: the order has another status after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            order = self.read(placed)
            if order["status"] in statuses:
                return order
            if time.monotonic() > deadline:
                raise AssertionError(f"the order is still {order['status']} after {seconds} s, not {statuses}")
            time.sleep(0.1)


@dataclass
class OrderStream:
    """A stream of orders while the block runs. An unknown outcome is retried with the same idempotency key.

    `told` maps the key of each accepted order to its id.
    """

    customer: Customer
    body: dict[str, Any]
    per_second: float = 10
    threads: int = 3
    prefix: str = field(default_factory=lambda: f"stream-{uuid4()}")
    told: dict[str, str] = field(default_factory=dict)
    refused: list[Answer] = field(default_factory=list)
    retries: int = 0

    def __enter__(self) -> "OrderStream":
        self._stopping = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._keep_ordering) for _ in range(self.threads)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _keep_ordering(self) -> None:
        while not self._stopping.is_set():
            self._order(f"{self.prefix}-{next(self._numbers)}")
            self._stopping.wait(self.threads / self.per_second)

    def _order(self, key: str) -> None:
        """Place an order and retry until its outcome is known, even if the stream is stopping."""
        body = {**self.body, "email": f"{key}@example.com"}
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                answer = self.customer.place(body, key)
            except OSError:
                self.retries += 1
            else:
                if answer.status == 201:
                    self.told[key] = answer.body["id"]
                    return
                if answer.status < 500:
                    self.refused.append(answer)
                    return
                self.retries += 1
            time.sleep(0.2)
        raise AssertionError(f"no answer for {key} in 90 s")
