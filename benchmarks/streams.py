"""Streams of the live process: memory, processor time, database connections, latency and the time to stop.

    python -m benchmarks.streams [--streams 2000] [--rate 50] [--pages 40] [--connects 50000] [--json]

- idle: many clients listen to confirmed orders. Memory and connections are those of the live process.
- frames: a live process without Kafka sends one event per second to all streams; CPU in per cent of a core.
- latency: orders come in at a constant rate, while Chromium shows pages of further orders. The time begins with the
  commit of the saga's transaction that confirms the order, and ends when the page shows it (benchmarks/followed.py).
- aborts: clients connect and break off; growth of the live process's memory, and streams that are left.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import time
from collections.abc import Sequence
from typing import Any

import psutil
import psycopg

from benchmarks.backlog import Catalogue, Ordering
from benchmarks.followed import STAGES, follow_orders, keep_commit_times
from benchmarks.outages import percentile
from benchmarks.predictions import STOCK
from benchmarks.stage import running, wait_until
from tests.client import Customer, call
from tests.running_shop import RunningShop

PER_ADDRESS, PER_ORDER = 50, 5
Writers = list[asyncio.StreamWriter]


class Client:
    """Clients of one live process. 50 streams share a loopback address, because of the limit per address."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened = 0

    async def listen(self, order: dict[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream of `order` and return it after the first event."""
        number = self._opened // PER_ADDRESS
        self._opened += 1
        source = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=source)
        head = f"GET /api/v1/orders/{order['id']}/events/ HTTP/1.1\r\nHost: localhost\r\nX-Order-Token: "
        writer.write(f"{head}{order['access_token']}\r\n\r\n".encode())
        await reader.readuntil(b"event: order")
        return reader, writer


async def open_idle(client: Client, orders: Sequence[dict[str, str]], number: int) -> Writers:
    """Open `number` streams, at most PER_ORDER for each order, and return their writers."""
    streams: Writers = []
    for start in range(0, number, 100):
        wanted = [orders[index // PER_ORDER] for index in range(start, min(start + 100, number))]
        opened = await asyncio.gather(*map(client.listen, wanted))
        streams += [writer for _, writer in opened]
    return streams


async def measure_latency(shop: RunningShop, rate: float, pages: int) -> dict[str, float]:
    """Return percentiles of the stages from a commit to the page, while orders come in at `rate` per second."""
    shop.manage("shell", "--no-imports", "-c", STOCK)
    catalogue = Catalogue(find_skus(shop))
    with Ordering(shop, catalogue, rate).going_on():
        found = await follow_orders(shop, catalogue, pages)
    figures = {"pages": float(len(found))}
    for stage in (*STAGES, "total"):
        times = [times[stage] for times in found]
        figures |= {f"{stage}, p{share}": percentile(times, share) for share in (50, 95)}
    return figures


def find_skus(shop: RunningShop) -> list[str]:
    """Return the products with stock for the whole run."""
    return [row["sku"] for row in call("GET", f"{shop.base_url}/api/v1/products/?page_size=100").body["results"]]


def place_orders(shop: RunningShop, number: int) -> list[dict[str, str]]:
    """Place `number` orders, wait until each is confirmed or cancelled, and return them."""
    customer, catalogue = Customer(shop.base_url), Catalogue(find_skus(shop))
    placed = [customer.place(catalogue.make_body()) for _ in range(number)]
    for order in placed[-20:]:
        customer.wait_for(order, "confirmed", "cancelled")
    return [order.body for order in placed]


def serve_frames(port: int, ready: Any) -> None:
    """Serve streams without Kafka and ring each of them once per second. Runs in a process of its own."""
    import django

    django.setup()
    from shop.live import application, server

    async def ring(live: application.Application) -> None:
        while True:
            await asyncio.sleep(1)
            live.streams.ring(list(live.streams.watched))

    def start(live: application.Application) -> None:
        live._tasks = [asyncio.get_running_loop().create_task(ring(live))]
        ready.set()

    application.Application.start = start  # type: ignore[method-assign, assignment]
    asyncio.run(server.serve("127.0.0.1", port))


async def measure_frames(orders: Sequence[dict[str, str]], number: int, port: int) -> float:
    """Return the CPU time in per cent of a core of a process that sends one event per second to `number` streams."""
    ready = multiprocessing.get_context("spawn").Event()
    process = multiprocessing.get_context("spawn").Process(target=serve_frames, args=(port, ready))
    process.start()
    await asyncio.to_thread(ready.wait, 30)
    await asyncio.sleep(1)
    streams = await open_idle(Client(port), orders, number)
    server = psutil.Process(process.pid)
    before, began = server.cpu_times(), time.monotonic()
    await asyncio.sleep(10)
    after, took = server.cpu_times(), time.monotonic() - began
    for stream in streams:
        stream.close()
    process.terminate()
    await asyncio.to_thread(process.join, 20)
    return 100 * (after.user + after.system - before.user - before.system) / took


async def measure(shop: RunningShop, options: argparse.Namespace) -> dict[str, float]:
    """Return all figures."""
    orders = await asyncio.to_thread(place_orders, shop, options.streams // PER_ORDER + 1)
    port = find_port(shop)
    live = psutil.Process(shop.list_parts()["live"]["pid"])
    client, found = Client(port), dict[str, float]()
    streams = await open_idle(client, orders, options.streams)
    found["memory_mb"] = live.memory_info().rss / 1e6
    with psycopg.connect(shop.addresses["postgres"]) as db:
        row = db.execute("select count(*) from pg_stat_activity where application_name = 'shop run_live'").fetchone()
        found["connections"] = row[0] if row else 0
    found |= await measure_latency(shop, options.rate, options.pages)
    for stream in streams:
        stream.close()
    before = live.memory_info().rss
    for start in range(0, options.connects, 100):
        opened = await asyncio.gather(*(client.listen(orders[n % len(orders)]) for n in range(start, start + 100)))
        for _, writer in opened:
            writer.transport.abort()
    left = f"http://127.0.0.1:{port}/healthz"
    await asyncio.to_thread(wait_until, lambda: call("GET", left).body == "0 open streams\n", "streams are left")
    found["growth_mb"] = (live.memory_info().rss - before) / 1e6
    found["frames_cpu_percent"] = await measure_frames(orders, options.streams, port + 3)
    streams = await open_idle(Client(port), orders, options.streams)
    began = time.monotonic()
    live.terminate()
    await asyncio.to_thread(live.wait, 30)
    found["stop_seconds"] = time.monotonic() - began
    for stream in streams:
        stream.close()
    return found


def find_port(shop: RunningShop) -> int:
    """Return the port on which the live process listens."""
    live = psutil.Process(shop.list_parts()["live"]["pid"])
    return next(int(c.laddr.port) for c in live.net_connections() if c.status == psutil.CONN_LISTEN)


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=2000, help="open streams")
    parser.add_argument("--rate", type=float, default=50, help="orders per second for the latency")
    parser.add_argument("--pages", type=int, default=40, help="order pages that Chromium follows")
    parser.add_argument("--connects", type=int, default=50_000, help="clients that connect and break off")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    with running() as shop:
        keep_commit_times(shop)
        found = asyncio.run(measure(shop, options))
    print(f"{options.streams} streams: {found['memory_mb']:.0f} MB, {found['connections']:.0f} database connections")
    print(f"one event per second to all: {found['frames_cpu_percent']:.1f} % of a core")
    print(f"commit to page at {options.rate:g} orders/s, {found['pages']:.0f} pages, ms:", end="")
    for stage in ("total", *STAGES):
        print(f"  {stage} {found[f'{stage}, p50']:.0f} / {found[f'{stage}, p95']:.0f}", end="")
    print("  (p50 / p95)")
    print(f"{options.connects} connects and aborts: {found['growth_mb']:+.1f} MB, no stream left")
    print(f"SIGTERM with all streams open: {found['stop_seconds']:.1f} s")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
