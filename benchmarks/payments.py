"""Payments per second that are authorized, captured and refunded through the sandbox gateway over HTTP.

    python -m benchmarks.payments [--payments 2000] [--workers 2] [--json]

The benchmark starts a separate PostgreSQL and gateway. Its workers do the same as Celery's: claim a batch, call the
gateway, record the results and publish. The table also shows the commits and the CPU time per payment, of this process
and of the gateway. The last line is for a gateway that needs three seconds for each authorization.
"""

import argparse
import json
import threading
import time
from dataclasses import asdict, dataclass
from uuid import uuid4

import psutil

from benchmarks.stage import running

# The payment token by operation. The measurement with the slow token uses a tenth of the payments.
TOKENS = {"authorize": "tok_ok", "slow": "tok_slow"}
SAMPLE = 10


@dataclass(frozen=True)
class Rate:
    """The result for one operation: payments per second, and CPU milliseconds and commits per payment."""

    operation: str
    per_second: float
    here_ms: float
    gateway_ms: float
    postgres_commits: float


def open_payments(count: int, token: str) -> None:
    """Store `count` payments that must be authorized."""
    from payments.models import Payment

    Payment.objects.bulk_create(
        Payment(order_id=uuid4(), event_id=uuid4(), amount=4990, currency="EUR", payment_token=token)
        for _ in range(count)
    )


def settle(workers: int) -> None:
    """Settle payments with `workers` threads until no payment has an open operation."""
    from django.db import connections

    from payments.settlement import calls

    def work() -> None:
        try:
            while calls.settle_due_payments() or calls._late:
                time.sleep(0.001)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def want_next(operation: str) -> None:
    """Request the next operation for all payments."""
    from payments.models import Payment
    from payments.refunds import refund_rest

    payments = list(Payment.objects.all())
    if operation == "capture":
        Payment.objects.update(wanted="capture")
    elif operation == "refund":
        refund_rest(payments, reason="benchmark", requested_by={payment.pk: "benchmark" for payment in payments})


def read_commits() -> int:
    """Return the number of transactions that PostgreSQL has committed."""
    from django.db import connection

    with connection.cursor() as cursor:
        time.sleep(1.2)  # PostgreSQL updates its counters once per second
        cursor.execute("select xact_commit from pg_stat_database where datname = current_database()")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def read_cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of `process` and its children."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return float(sum(time.user + time.system for time in times))


def measure(gateway: psutil.Process, operation: str, count: int, workers: int) -> Rate:
    """Run `operation` for all payments and return the result."""
    from payments.models import Payment

    if operation in TOKENS:
        open_payments(count, TOKENS[operation])
    else:
        want_next(operation)
    here, commits = psutil.Process(), read_commits()
    cpu, there, began = sum(here.cpu_times()[:2]), read_cpu(gateway), time.perf_counter()
    settle(workers)
    seconds = time.perf_counter() - began
    cpu, there = sum(here.cpu_times()[:2]) - cpu, read_cpu(gateway) - there
    assert not Payment.objects.exclude(wanted="nothing").exists(), "a payment still has an open operation"
    return Rate(
        operation,
        round(count / seconds, 1),
        round(1000 * cpu / count, 2),
        round(1000 * there / count, 2),
        round((read_commits() - commits) / count, 2),
    )


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2, help="threads that claim payments; Celery uses two")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    with running("postgres", "gateway", "valkey") as shop:
        gateway = psutil.Process(shop.list_parts()["gateway"]["pid"])
        rates = [
            measure(gateway, name, options.payments, options.workers) for name in ("authorize", "capture", "refund")
        ]
        rates.append(measure(gateway, "slow", options.payments // SAMPLE, options.workers))
    for rate in rates:
        print(
            f"{rate.operation:<10} {rate.per_second:>7.1f}/s   CPU {rate.here_ms:.2f} ms here, {rate.gateway_ms:.2f} ms"
            f" in the gateway   {rate.postgres_commits:.2f} commits per payment"
        )
    if options.json:
        print(json.dumps({"benchmark": "payments", "rates": [asdict(rate) for rate in rates]}))


if __name__ == "__main__":
    main()
