"""Checks before the start: the ports are free, and the external services answer."""

import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import psutil
from django.conf import settings
from django.db import connection

from analytics.flink.cluster import find_newest
from relay.operations import cluster
from shop.embedded import kafka, postgres
from shop.embedded.certificates import CredentialsUnavailable
from shop.embedded.parts import Part
from shop.environment import read_text
from shop.kafka_security import VARIABLES


class CannotBegin(Exception):
    """The environment does not allow a start. The message says which variable to change."""


def check_security() -> None:
    """Check that the data were created with the same SECURE, and that no variable for Kafka would be ignored.

    With SECURE=1 create the missing credentials.

    :raises CannotBegin: the message says what to change.
    """
    if "kafka" not in settings.OUTSIDE_PARTS and (ignored := [name for name in VARIABLES if read_text(name, "")]):
        raise CannotBegin(
            f"{ignored[0]} describes a Kafka of your own: set KAFKA_BOOTSTRAP_SERVERS, too, or unset {ignored[0]}. "
            "SECURE=1 protects the embedded Kafka"
        )
    credentials = settings.CREDENTIALS
    secured = (settings.VAR_DIR / "secure" / "ca.pem").exists()
    data = [folder for folder in (postgres.find_data_folder() / "data", kafka.FOLDER) if folder.exists()]
    if data and secured != bool(credentials):
        raise CannotBegin(
            f"{data[0]} was created {'with' if secured else 'without'} SECURE=1: "
            f"{'unset SECURE' if secured else 'set SECURE=0'}, set VAR_DIR to another folder, "
            "or delete the data with `make reset`"
        )
    if credentials:
        try:
            credentials.create()
        except CredentialsUnavailable as error:
            raise CannotBegin(str(error)) from error


def check_ports(parts: Iterable[Part]) -> None:
    """Check that each port of `parts` is free, and that no two parts use the same port.

    :raises CannotBegin: the message names the port, the part and the variable that sets the port.
    """
    taken_by: dict[int, str] = {}
    for part in parts:
        for variable, port in part.ports.items():
            if port in taken_by:
                raise CannotBegin(
                    f"port {port} is needed by {taken_by[port]} and by {part.name}: set {variable} to another port"
                )
            taken_by[port] = part.name
            if not _is_free(settings.HOST if part.name == "web" else "127.0.0.1", port):
                raise CannotBegin(
                    f"port {port}, which {part.name} needs, is taken{_name_holder(port)}: "
                    f"stop that program, or set {variable} to another port{_mention_port(variable)}"
                )


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
    return True


def _name_holder(port: int) -> str:
    """Return " by NAME (process PID)" for the program that listens on `port`, or "" if it is not visible."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return (
                    f" by {psutil.Process(connection.pid).name()} (process {connection.pid})" if connection.pid else ""
                )
    except psutil.Error:
        pass
    return ""


def _mention_port(variable: str) -> str:
    return "" if variable == "PORT" else " (or set PORT: all other ports are derived from it)"


def check_outside_parts() -> None:
    """Check that each external service that the environment names can be reached.

    :raises CannotBegin: the message names the variable and the reason.
    """
    checks: dict[str, tuple[str, Callable[[], None]]] = {
        "postgres": ("DATABASE_URL", _check_postgres),
        "kafka": ("KAFKA_BOOTSTRAP_SERVERS", cluster.check_access),
        "valkey": ("CELERY_BROKER_URL", _check_broker),
        "gateway": ("SANDBOX_URL", _check_gateway),
        "flink": ("FLINK_URL", _check_flink),
    }
    for part in sorted(settings.OUTSIDE_PARTS):
        variable, check = checks[part]
        try:
            check()
        except Exception as error:
            reason = str(error).strip() or type(error).__name__
            raise CannotBegin(
                f"{variable} names a {part} that does not answer: {reason}. Start it, or unset {variable}"
            ) from error


def _check_postgres() -> None:
    connection.ensure_connection()
    connection.close()


def _check_broker() -> None:
    from kombu.connection import Connection

    with Connection(settings.CELERY_BROKER_URL, connect_timeout=3) as connection:  # type: ignore[no-untyped-call]
        connection.ensure_connection(max_retries=1, interval_start=0.2)


def _check_flink() -> None:
    if settings.ANALYTICS == "flink":
        find_newest(settings.FLINK_URL)


def _check_gateway() -> None:
    address = urlsplit(settings.SANDBOX_URL)
    socket.create_connection((address.hostname or "", address.port or 80), timeout=3).close()
