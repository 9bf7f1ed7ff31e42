"""Orders per second of the checkout, compared with the same inserts by pgbench.

    python -m benchmarks.checkout [--seconds 8] [--runs 3] [--json]

The benchmark starts PostgreSQL and the shop's Granian (two workers, eight threads each) without rate limits. With 1, 8
and 32 persistent connections, it alternates between two loads: POST /api/v1/orders/ of two products, and pgbench with
the same inserts (order, two lines, outbox row) in one transaction on the same tables. Client, web and PostgreSQL share
the machine's cores, so the table also shows the processor time of each per order. The last lines show the time of each
part of a request inside the web process.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.ordering import Load, order_over, profile_request, read_processor
from benchmarks.stage import running

CONNECTIONS = (1, 8, 32)
_PGBENCH = """
\\set seed random(1, 9000000000000000000)
begin;
insert into orders_order (id, number, status, stock, payment, reason, contact_id, currency, total, placed_at,
                          deadline_at)
values (md5(:seed::text)::uuid, left(md5('n' || :seed::text), 16), 'placed', 'pending', 'pending', '',
        md5('c' || :seed::text)::uuid, 'EUR', 8740, now(), now() + interval '1 day');
insert into orders_orderline (order_id, sku, name, quantity, unit_price, line_total)
values (md5(:seed::text)::uuid, 'LAMP', 'Lamp', 1, 4990, 4990), (md5(:seed::text)::uuid, 'MUG', 'Mug', 3, 1250, 3750);
insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, traceparent, created_at)
values ('shop.orders', md5(:seed::text)::uuid::text, (:seed::bigint % 2147483647)::int, 1,
        md5('e' || :seed::text)::uuid, 'OrderPlaced.v4', now(), repeat('x', 500), '', clock_timestamp());
commit;
"""


def run_pgbench(connections: int, seconds: float) -> Load:
    """Run the same inserts on the same tables with pgbench for `seconds`, and return the load."""
    from django.conf import settings

    from shop.embedded.postgres import _find_binaries

    database = settings.DATABASES["default"]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "order.sql"
        script.write_text(_PGBENCH)
        command = [str(_find_binaries() / "pgbench"), "-h", "127.0.0.1", "-p", str(database["PORT"]), "-U", "postgres"]
        command += [
            "-n",
            "-M",
            "prepared",
            "-c",
            str(connections),
            "-j",
            "1",
            "-T",
            str(int(seconds)),
            "-f",
            str(script),
        ]
        command += ["-l", "--log-prefix", f"{folder}/log", str(database["NAME"])]
        before = read_processor()
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
        times = [int(row.split()[2]) / 1000 for log in Path(folder).glob("log*") for row in log.open()]
    after = read_processor()
    each = {name: (after[name] - before[name]) / len(times) * 1e6 for name in ("client", "postgres")}
    cuts = statistics.quantiles(times, n=100)
    rate = float(re.search(r"tps = ([\d.]+)", output)[1])  # type: ignore[index]
    return Load(rate, cuts[49], cuts[94], cuts[98], each)


def measure(options: argparse.Namespace, port: int, body: bytes) -> dict[int, tuple[Load, Load]]:
    """Return the shop's and pgbench's runs with the median rate, by number of connections. The two loads alternate."""
    order_over(port, 8, 2, body)
    found = {}
    for connections in CONNECTIONS:
        runs = [
            (order_over(port, connections, options.seconds, body), run_pgbench(connections, options.seconds))
            for _ in range(options.runs)
        ]
        ours, raw = (sorted((run[n] for run in runs), key=lambda load: load.per_second) for n in (0, 1))
        found[connections] = (ours[len(ours) // 2], raw[len(raw) // 2])
    return found


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="duration of each run")
    parser.add_argument("--runs", type=int, default=3, help="number of runs; the table shows the median")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    with running("postgres", "web") as shop:
        from django.db import connection

        from shop.catalogue.models import Product
        from shop.embedded.setup import load_demo_data
        from tests.client import make_order

        load_demo_data()
        skus = list(Product.objects.values_list("sku", flat=True)[:2])
        body = json.dumps(make_order((skus[0], 1), (skus[1], 3))).encode()
        found = measure(options, int(shop.base_url.rpartition(":")[2]), body)
        parts = profile_request(body)
        connection.close()
    print_table(found, parts)
    if options.json:
        print(json.dumps({"loads": {n: [vars_of(load) for load in pair] for n, pair in found.items()}, "us": parts}))


def vars_of(load: Load) -> dict[str, Any]:
    """Return the load as JSON-like data."""
    return {name: getattr(load, name) for name in Load.__dataclass_fields__}


def print_table(found: dict[int, tuple[Load, Load]], parts: dict[str, float]) -> None:
    """Print the loads and the times of a request's parts."""
    print("connections             per second    p50 ms    p95 ms    p99 ms   of pgbench")
    for connections, (ours, raw) in found.items():
        for name, load in (("POST /orders/", ours), ("pgbench", raw)):
            part = f"{ours.per_second / raw.per_second:>10.1%}" if load is ours else ""
            print(
                f"{connections:>4} {name:<16} {load.per_second:>12.0f} {load.p50:>9.2f} {load.p95:>9.2f}"
                f" {load.p99:>9.2f} {part}"
            )
        for name, load in (("shop", ours), ("pgbench", raw)):
            used = ", ".join(f"{part} {micros:.0f}" for part, micros in load.processor.items())
            print(f"     processor time per order ({name}) in us: {used}")
    for name, micros in parts.items():
        print(f"{name:<32} {micros:>8.0f} us")


if __name__ == "__main__":
    main()
