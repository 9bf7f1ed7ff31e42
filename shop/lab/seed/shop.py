"""The synchronous shop that this project replaces: `process_order` calls four services while the customer waits.

It does one thing well: the answer is final. The customer knows at once that the goods are there and paid.
"""

import json
import socket
import threading
from dataclasses import dataclass
from typing import Any

import psycopg

from shop.lab.seed.web import Body, Client, ServiceUnavailable, find_length, read_database

WORKERS = 32
#: Seconds that the shop waits for a service, at time factor 1. A stopped service refuses at once.
TIMEOUT_SECONDS = 30.0
APOLOGY = "Something went wrong, please try again"
SOLD_OUT = "Sorry, this product is sold out"
THANKS = "Thank you! Your order is confirmed and paid"


@dataclass
class Services:
    """One worker's connections to the four services."""

    inventory: Client
    payments: Client
    email: Client
    analytics: Client


def process_order(order: Body, services: Services, database: Any) -> tuple[int, str]:
    """Process an order as the seed does. Any failing step loses the sale, also after the customer has paid."""
    try:
        if not services.inventory.call(order)["in_stock"]:
            return 409, SOLD_OUT
        services.payments.call(order)
        services.email.call(order)
        services.analytics.call(order)
        database.execute(
            "insert into lab_seed.placed (run, number, total) values (%s, %s, %s)",
            [order["run"], order["number"], order["total"]],
        )
    except (ServiceUnavailable, psycopg.Error):
        return 500, APOLOGY
    return 201, THANKS


def run_shop(port: int, service_ports: dict[str, int], factor: int) -> None:
    """Serve customers with WORKERS threads. Further customers wait in the queue of the operating system."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    work = [threading.Thread(target=_work, args=(listener, service_ports, factor)) for _ in range(WORKERS)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


def _work(listener: socket.socket, ports: dict[str, int], factor: int) -> None:
    services = Services(**{name: Client(name, port, TIMEOUT_SECONDS / factor + 1) for name, port in ports.items()})
    database = psycopg.connect(**read_database(), autocommit=True)
    while True:
        line, _ = listener.accept()
        with line:
            try:
                order = read_order(line)
                status, text = process_order(order, services, database)
                answer = json.dumps({"message": text}).encode()
                line.sendall(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%s" % (status, len(answer), answer))
            except (OSError, ValueError):
                continue  # the customer has left


def read_order(line: socket.socket) -> Body:
    """Read a request and return its body.

    :raises ValueError: the customer closed the connection, or the body is not JSON.
    """
    line.settimeout(10)
    received = b""
    while b"\r\n\r\n" not in received:
        if not (chunk := line.recv(65536)):
            raise ValueError("the connection was closed")
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    while len(body) < find_length(head):
        if not (chunk := line.recv(65536)):
            raise ValueError("the connection was closed")
        body += chunk
    found: Body = json.loads(body)
    return found
