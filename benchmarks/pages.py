"""Catalogue pages per second, for visitors without and with a cart.

    python -m benchmarks.pages [--seconds 5] [--runs 3] [--json]

The benchmark starts PostgreSQL and the shop's web with the demo catalogue and without rate limits. 8 persistent
connections request the home page, each category and each product in turn, with gzip. Visitors without a cart send no
cookie, so each product page starts a session and records its view. Visitors with a cart have two products in it.
Client, web and PostgreSQL share the machine's cores.
"""

import argparse
import json
import re
import selectors
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from itertools import cycle
from urllib.parse import urlencode

from benchmarks.ordering import read_answer, read_processor
from benchmarks.stage import running

CONNECTIONS = 8
WARM_ROUNDS = 4  # rounds of WARM_SECONDS with new connections, so that each process has rendered each page
WARM_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load: pages per second, latencies in ms, kB per page, and processor time in us per page."""

    page: str
    cart: bool
    per_second: float
    p50: float
    p99: float
    kilobytes: float
    processor: dict[str, float]


def request_pages(port: int, paths: Sequence[str], cookies: Sequence[str], seconds: float) -> tuple[list[float], int]:
    """Request `paths` in turn on CONNECTIONS connections for `seconds`.

    Connection n sends the n-th of `cookies`, or no cookie if `cookies` is empty. Return the latencies in seconds and
    the number of received bytes.

    :raises RuntimeError: a response has another status than 200.
    """
    chooser = selectors.DefaultSelector()
    latencies, received = list[float](), 0
    began: dict[socket.socket, float] = {}
    requests: dict[socket.socket, Iterator[bytes]] = {}
    for number in range(CONNECTIONS):
        line = socket.create_connection(("127.0.0.1", port))
        cookie = f"Cookie: {cookies[number]}\r\n" if cookies else ""
        turn = [*paths[number % len(paths) :], *paths[: number % len(paths)]]
        head = f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n{cookie}\r\n"
        requests[line] = cycle([f"GET {path} {head}".encode() for path in turn])
        chooser.register(line, selectors.EVENT_READ)
        began[line] = time.perf_counter()
        line.sendall(next(requests[line]))
    start = time.perf_counter()
    while time.perf_counter() < start + seconds:
        for ready, _ in chooser.select(5):
            line = ready.fileobj  # type: ignore[assignment]
            received += read_answer(line, 200)
            latencies.append(time.perf_counter() - began[line])
            began[line] = time.perf_counter()
            line.sendall(next(requests[line]))
    for line in requests:
        read_answer(line, 200)
        line.close()
    return latencies, received


def fill_cart(port: int, skus: Sequence[str]) -> str:
    """Add one of each of `skus` to the cart of a new visitor, and return the visitor's cookies."""
    client = HTTPConnection("127.0.0.1", port)
    client.request("GET", f"/p/{skus[0]}/")
    answer = client.getresponse()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.read().decode())
    cookies = read_cookies(answer.headers.get_all("Set-Cookie") or [])
    for sku in skus:
        form = urlencode({"csrfmiddlewaretoken": token[1] if token else "", "sku": sku, "quantity": 1})
        headers = {"Cookie": write_cookies(cookies), "Content-Type": "application/x-www-form-urlencoded"}
        client.request("POST", "/cart/add/", form, headers)
        answer = client.getresponse()
        answer.read()
        cookies |= read_cookies(answer.headers.get_all("Set-Cookie") or [])
    client.request(
        "GET", "/", headers={"Cookie": write_cookies(cookies)}
    )  # this page shows the messages and so deletes them
    answer = client.getresponse()
    answer.read()
    cookies |= read_cookies(answer.headers.get_all("Set-Cookie") or [])
    client.close()
    return write_cookies(cookies)


def read_cookies(lines: Sequence[str]) -> dict[str, str]:
    """Return the names and values of the cookies in Set-Cookie headers."""
    return dict(line.partition(";")[0].split("=", 1) for line in lines)


def write_cookies(cookies: dict[str, str]) -> str:
    """Return the Cookie header that a browser would send."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items() if value.strip('"'))


def measure(port: int, page: str, paths: Sequence[str], cookies: Sequence[str], seconds: float) -> Load:
    """Return the load of one kind of page."""
    request_pages(port, paths, cookies, 0.5)
    before = read_processor()
    began = time.perf_counter()
    latencies, received = request_pages(port, paths, cookies, seconds)
    took = time.perf_counter() - began
    after = read_processor()
    cuts = [cut * 1000 for cut in statistics.quantiles(latencies, n=100)]
    count = len(latencies)
    used = {name: (after[name] - before[name]) / count * 1e6 for name in after}
    return Load(page, bool(cookies), count / took, cuts[49], cuts[98], received / count / 1000, used)


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="duration of each run")
    parser.add_argument(
        "--runs", type=int, default=3, help="number of runs of each kind of page; the table shows the median"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    with running("postgres", "web") as shop:
        from django.db import connection

        from shop.catalogue.models import Category, Product
        from shop.embedded.setup import load_demo_data

        load_demo_data()
        products = list(Product.objects.order_by("sku"))
        kinds = {
            "home": ["/"],
            "category": [category.get_absolute_url() for category in Category.objects.all()],
            "product": [product.get_absolute_url() for product in products],
        }
        connection.close()
        port = int(shop.base_url.rpartition(":")[2])
        carts = [fill_cart(port, [product.sku for product in products[:2]]) for _ in range(CONNECTIONS)]
        for _ in range(WARM_ROUNDS):
            request_pages(port, [path for paths in kinds.values() for path in paths], [], WARM_SECONDS)
        runs = [
            measure(port, page, paths, cookies, options.seconds)
            for _ in range(options.runs)
            for cookies in ([], carts)
            for page, paths in kinds.items()
        ]
    loads = [find_median(runs[number::6]) for number in range(6)]
    print_table(loads)
    if options.json:
        print(json.dumps({"benchmark": "pages", "loads": [asdict(load) for load in loads]}))


def find_median(runs: list[Load]) -> Load:
    """Return the run with the median rate."""
    return sorted(runs, key=lambda load: load.per_second)[len(runs) // 2]


def print_table(loads: list[Load]) -> None:
    """Print the loads."""
    print("page                 per second    p50 ms    p99 ms   kB    processor time per page in us")
    for load in loads:
        used = ", ".join(f"{part} {micros:.0f}" for part, micros in load.processor.items())
        name = f"{load.page}{', with a cart' if load.cart else ''}"
        print(f"{name:<22} {load.per_second:>8.0f} {load.p50:>9.2f} {load.p99:>9.2f} {load.kilobytes:>5.1f}    {used}")


if __name__ == "__main__":
    main()
