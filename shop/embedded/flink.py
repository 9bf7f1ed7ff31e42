"""Flink as local processes: a job manager, which compiles and runs the job, and a task manager, which works.

Both read their jars from the cache of `shop.embedded.jars`. The job's state is in VAR_DIR/flink/checkpoints. A job
manager that starts continues from the newest checkpoint; without one the job's tables are emptied and the job reads
Kafka from the beginning.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from analytics.flink.script import write_script
from analytics.flink.tables import create_tables, exist, find_fingerprint
from shop.embedded.credentials import write_secret
from shop.embedded.jars import FLINK, JarsUnusable
from shop.embedded.java import find_java
from shop.embedded.processes import CannotStart

FOLDER = settings.VAR_DIR / "flink"
_JOB_MANAGER = "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_SQL_DRIVER = "org.apache.flink.table.runtime.application.SqlDriver"
# Flink's own options for Java 17 and later.
_OPENED = ("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent")
_OPENED_TOO = ("util.concurrent.atomic", "util.concurrent.locks")
_EXPORTED = ("java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
_LOG = """\
rootLogger.level = warn
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %-5p %c{1} %m%n%throwable{12}
# Kafka's client warns about the unknown version in the connector's jar.
logger.kafka.name = org.apache.flink.kafka
logger.kafka.level = error
"""
# Loggers that warn at each start about things that are so by design.
_LOUD = (
    *("core.plugin", "runtime.webmonitor.WebMonitorUtils", "runtime.security.token", "runtime.metrics.util"),
    *("table.workflow", "table.gateway", "runtime.metrics", "metrics"),
)
_LOG += "".join(
    f"logger.{number}.name = org.apache.flink.{name}\nlogger.{number}.level = error\n"
    for number, name in enumerate(_LOUD)
)
#: Settings of the job. docker-compose.yml has the same ones.
COMMON: dict[str, Any] = {
    "taskmanager.numberOfTaskSlots": 1,
    "parallelism.default": 1,
    "state.backend.type": "rocksdb",  # the state may grow beyond the memory
    "execution.checkpointing.interval": "2s",
    "execution.checkpointing.min-pause": "500ms",
    "execution.checkpointing.incremental": True,
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "execution.checkpointing.tolerable-failed-checkpoints": 100,
    "execution.state-recovery.claim-mode": "CLAIM",  # old checkpoints are deleted also after a restart
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 2147483647,
    "restart-strategy.fixed-delay.delay": "1s",
    "heartbeat.interval": 1000,
    "heartbeat.timeout": 6000,  # after this time a silent task manager counts as lost
    "cluster.registration.error-delay": "1s",
    "web.submit.enable": False,  # nobody can upload a program
    "web.cancel.enable": False,
}
# Each part of the memory explicitly: together 1.2 GB at most with the job manager's.
_MEMORY = {
    "taskmanager.cpu.cores": 1.0,
    "taskmanager.memory.framework.heap.size": "96mb",
    "taskmanager.memory.task.heap.size": "160mb",
    "taskmanager.memory.framework.off-heap.size": "32mb",
    "taskmanager.memory.task.off-heap.size": "0mb",
    "taskmanager.memory.managed.size": "128mb",  # RocksDB's caches
    "taskmanager.memory.network.min": "48mb",
    "taskmanager.memory.network.max": "48mb",
    "taskmanager.memory.jvm-metaspace.size": "128mb",
    "taskmanager.memory.jvm-overhead.min": "64mb",
    "taskmanager.memory.jvm-overhead.max": "64mb",
}


def exec_job_manager() -> None:
    """Prepare the job, then replace this process by the job manager.

    :raises CannotStart: the jars are unusable.
    """
    # Without the second compiler a start takes half the processor time. The task manager works longer and needs it.
    java = _find_command("-Xmx320m", "-XX:MaxMetaspaceSize=192m", "-XX:TieredStopAtLevel=1")
    checkpoints, newest = prepare_job(FOLDER)
    conf = write_conf("jobs", {"execution.checkpointing.dir": checkpoints.as_uri()})
    recovery = ["-D", f"execution.state-recovery.path={newest.as_uri()}"] if newest else []
    script = (FOLDER / "job.sql").as_uri()
    connection.close()
    # The SQL driver prints the script with its passwords. Log lines go to stderr.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    arguments = ["-c", str(conf), "--job-classname", _SQL_DRIVER, *recovery, "--", "--scriptUri", script]
    os.execv(java[0], [*java, _log_option(conf), _JOB_MANAGER, *arguments])


def exec_task_manager() -> None:
    """Replace this process by a task manager.

    :raises CannotStart: the jars are unusable.
    """
    java = _find_command("-Xmx256m", "-XX:MaxMetaspaceSize=128m")
    conf = write_conf("tasks", {})
    connection.close()
    os.execv(java[0], [*java, _log_option(conf), _TASK_MANAGER, "-c", str(conf)])


def prepare_job(folder: Path) -> tuple[Path, Path | None]:
    """Write the job's script into `folder`. Return the folder of its checkpoints and the newest one, or None.

    Without a checkpoint the tables are created again, because the job begins with Kafka's first record.
    """
    fingerprint = find_fingerprint()
    checkpoints = folder / "checkpoints" / fingerprint
    for old in (folder / "checkpoints").glob("*"):
        if old != checkpoints:  # the state of another job or of other tables
            shutil.rmtree(old)
    checkpoints.mkdir(parents=True, exist_ok=True)
    newest = find_newest(checkpoints) if exist() else None
    if newest is None:
        create_tables()
    write_secret(folder / "job.sql", write_script())
    return checkpoints, newest


def find_newest(checkpoints: Path) -> Path | None:
    """Return the newest complete checkpoint, or None. A complete one has the file _metadata."""
    complete = [path.parent for path in checkpoints.glob("*/chk-*/_metadata")]
    return max(complete, key=lambda path: (path / "_metadata").stat().st_mtime, default=None)


def write_conf(name: str, special: dict[str, Any]) -> Path:
    """Write Flink's configuration for one process, and return its folder."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)  # with temporary files of a killed process
    (folder / "tmp").mkdir(parents=True)
    address = {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": settings.FLINK_RPC_PORT,
        "jobmanager.bind-host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": settings.FLINK_PORT,
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "io.tmp.dirs": str(folder / "tmp"),
    }
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in (COMMON | _MEMORY | address | special).items()]
    (folder / "config.yaml").write_text("".join(lines))  # JSON values are YAML, too
    (folder / "log4j.properties").write_text(_LOG)
    return folder


def _find_command(*limits: str) -> list[str]:
    """Return Java's command line up to the class path."""
    try:
        jars = FLINK.provide()
    except JarsUnusable as error:
        raise CannotStart(str(error)) from error
    opened = [f"java.base/java.{name}" for name in (*_OPENED, *_OPENED_TOO)] + ["java.base/sun.nio.ch"]
    return [
        str(find_java()),
        *limits,
        *("-XX:+UseSerialGC", "-Duser.timezone=UTC"),
        *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTED),
        *(f"--add-opens={name}=ALL-UNNAMED" for name in opened),
        *("-cp", os.pathsep.join(map(str, jars))),
    ]


def _log_option(conf: Path) -> str:
    return f"-Dlog4j.configurationFile={conf / 'log4j.properties'}"
