"""Kafka as local processes: one node, or three nodes that each store every record.

Each node is both a broker and a controller.
"""

import os
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from shop.embedded.credentials import write_secret
from shop.embedded.jars import KAFKA, JarsUnusable
from shop.embedded.java import find_java
from shop.embedded.kafka_access import describe_access, list_users
from shop.embedded.processes import CannotStart

FOLDER = settings.VAR_DIR / "kafka"
_CLUSTER_ID = "c2hvcC1lbWJlZGRlZC1rYQ"
# One directory id per node. The list of the quorum's first voters contains them.
_DIRECTORY_IDS = [
    "c2hvcC1rYWZrYS1ub2RlMQ",
    "c2hvcC1rYWZrYS1ub2RlMg",
    "c2hvcC1rYWZrYS1ub2RlMw",
]


def name_brokers() -> list[str]:
    """Return the names of the broker parts: `kafka`, or `kafka-1` to `kafka-3`."""
    return ["kafka"] if settings.BROKERS == 1 else [f"kafka-{n + 1}" for n in range(settings.BROKERS)]


def exec_broker(index: int, processes: Sequence[str]) -> None:
    """Fetch the jars and format the folder if needed, then replace this process by broker `index` (0-based).

    With SECURE=1 each of `processes` gets a user.

    :raises CannotStart: the jars are unusable, or the data belong to a cluster of another size.
    """
    _refuse_other_cluster()
    try:
        jars = KAFKA.provide()
    except JarsUnusable as error:
        raise CannotStart(str(error)) from error
    java = find_java()
    command = [
        str(java),
        "-Xmx512m",
        # These options halve the processor time of a start (3.3 s instead of 7 s).
        *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
        "-XX:-UsePerfData",  # a timer of the JVM that wakes 20 times a second
        *(
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
        ),
        *("-cp", os.pathsep.join(map(str, jars))),
    ]
    properties = FOLDER / f"node-{index + 1}.properties"
    write_secret(properties, _write_properties(index))
    data = FOLDER / f"node-{index + 1}"
    if not (data / "meta.properties").exists():
        _format(command, properties, data, processes)
    os.execv(java, [*command, "kafka.Kafka", str(properties)])


def answers(host: str, port: int) -> bool:
    """Send an ApiVersions request, as each client does before its log-in, and return whether the broker answers."""
    client = b"health"
    request = struct.pack(">hhih", 18, 0, 1, len(client)) + client
    try:
        with _connect(host, port) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(10)
    except OSError:
        return False
    return len(answer) == 10 and answer[4:10] == struct.pack(">ih", 1, 0)


def _connect(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=1)
    if not settings.CREDENTIALS:
        return connection
    try:
        context = ssl.create_default_context(cafile=settings.CREDENTIALS.authority)
        return context.wrap_socket(connection, server_hostname=host)
    except OSError:
        connection.close()
        raise


def _refuse_other_cluster() -> None:
    """Raise if the folder belongs to a cluster of another size: a formatted node can't join another cluster."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if settings.CREDENTIALS:
        FOLDER.chmod(0o700)  # the metadata contain the users' salted passwords
    marker = FOLDER / "brokers"
    before = marker.read_text() if marker.exists() else ""
    if before not in ("", str(settings.BROKERS)):
        raise CannotStart(
            f"{FOLDER} holds a cluster that was created with BROKERS={before}, not {settings.BROKERS}: "
            f"set BROKERS={before}, set VAR_DIR to another folder, or delete the data with `make reset`"
        )
    marker.write_text(str(settings.BROKERS))


def _format(java: list[str], properties: Path, data: Path, processes: Sequence[str]) -> None:
    """Format the node's folder `data`. Only a complete folder contains the file meta.properties."""
    shutil.rmtree(data, ignore_errors=True)
    print("formatting Kafka's folder", flush=True)
    voters = ",".join(
        f"{n + 1}@127.0.0.1:{settings.KAFKA_CONTROLLER_PORT + n}:{_DIRECTORY_IDS[n]}" for n in range(settings.BROKERS)
    )
    tool = [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-I", voters, "-c", str(properties)]
    with list_users(settings.CREDENTIALS, processes) as users:
        formatting = subprocess.run([*tool, *users], capture_output=True, text=True, check=False)
    if formatting.returncode:
        raise CannotStart(f"Kafka can't format its folder {data}: {formatting.stdout}{formatting.stderr}")


def _write_properties(index: int) -> str:
    broker, controller = (
        settings.KAFKA_PORT + index,
        settings.KAFKA_CONTROLLER_PORT + index,
    )
    controllers = ",".join(f"127.0.0.1:{settings.KAFKA_CONTROLLER_PORT + n}" for n in range(settings.BROKERS))
    replicas = settings.BROKERS
    in_sync = 2 if replicas == 3 else 1
    name = "SASL_SSL" if settings.CREDENTIALS else "PLAINTEXT"
    access = describe_access(settings.CREDENTIALS) if settings.CREDENTIALS else ""
    return f"""\
{access}\
process.roles=broker,controller
node.id={index + 1}
controller.quorum.bootstrap.servers={controllers}
controller.listener.names=CONTROLLER
listeners={name}://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={name}://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map={name}:{name},CONTROLLER:{"SSL" if access else "PLAINTEXT"}
inter.broker.listener.name={name}
log.dirs={FOLDER / f"node-{index + 1}"}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=3
group.coordinator.threads=1
broker.heartbeat.interval.ms={2000 if replicas == 1 else 500}
broker.session.timeout.ms={9000 if replicas == 1 else 3000}
metadata.max.idle.interval.ms=5000
"""
