"""How fast payments are authorized, captured and refunded through the sandbox gateway, over HTTP.

    python -m benchmarks.payments [--payments 2000] [--workers 2] [--json]

Starts PostgreSQL and the gateway of its own. The workers do what Celery's do: claim a batch, call, record, publish.
Beside the rates stand the statements and the CPU time that one payment costs, of this process and of the gateway. The
last line is that of a gateway which takes three seconds to authorize.
"""

import argparse
import json
import threading
import time
from dataclasses import asdict, dataclass
from uuid import uuid4

import psutil

from benchmarks.stage import running

# What opens payments; of those that the gateway answers after three seconds a tenth says enough.
TOKENS = {"authorize": "tok_ok", "slow": "tok_slow"}
SAMPLE = 10


@dataclass(frozen=True)
class Rate:
    """What one operation costs: payments per second, and per payment the milliseconds of CPU time here and there."""

    operation: str
    per_second: float
    here_ms: float
    gateway_ms: float
    postgres_commits: float


def open_payments(count: int, token: str) -> None:
    """Write `count` payments down, to be authorized."""
    from payments.models import Payment

    Payment.objects.bulk_create(
        Payment(order_id=uuid4(), event_id=uuid4(), amount=4990, currency="EUR", payment_token=token)
        for _ in range(count)
    )


def settle(workers: int) -> None:
    """Settle until nothing is wanted any more."""
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
    """Have every payment want the next operation."""
    from payments.models import Payment
    from payments.refunds import refund_rest

    payments = list(Payment.objects.all())
    if operation == "capture":
        Payment.objects.update(wanted="capture")
    elif operation == "refund":
        refund_rest(payments, reason="benchmark", requested_by={payment.pk: "benchmark" for payment in payments})


def read_commits() -> int:
    """Count the transactions that PostgreSQL has committed."""
    from django.db import connection

    with connection.cursor() as cursor:
        time.sleep(1.2)  # its counters are told once a second
        cursor.execute("select xact_commit from pg_stat_database where datname = current_database()")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def read_cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and its children."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return float(sum(time.user + time.system for time in times))


def measure(gateway: psutil.Process, operation: str, count: int, workers: int) -> Rate:
    """Let every payment have `operation` and say what it cost."""
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
    assert not Payment.objects.exclude(wanted="nothing").exists(), "a payment still wants something"
    return Rate(
        operation,
        round(count / seconds, 1),
        round(1000 * cpu / count, 2),
        round(1000 * there / count, 2),
        round((read_commits() - commits) / count, 2),
    )


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2, help="threads that claim, as Celery's two")
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
            f" in the gateway   {rate.postgres_commits:.2f} commits a payment"
        )
    if options.json:
        print(json.dumps({"benchmark": "payments", "rates": [asdict(rate) for rate in rates]}))


if __name__ == "__main__":
    main()
