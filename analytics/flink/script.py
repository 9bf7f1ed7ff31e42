"""The job's script for Flink: job.sql with the addresses of Kafka and PostgreSQL."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings

from analytics.flink.tables import JOB
from analytics.generation import FLINK

#: The group whose committed offsets say which records are in the tables: Flink commits after each checkpoint.
GROUP = FLINK.consumer
# The connector's jar has Kafka's classes under this prefix.
_LOGIN = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security.{}LoginModule"


def write_script() -> str:
    """Return the script. It contains the passwords of PostgreSQL and Kafka."""
    return Template(JOB.read_text()).substitute(
        brokers=quote(",".join(settings.KAFKA_BOOTSTRAP_SERVERS)),
        group=quote(GROUP),
        kafka_options="".join(
            f"{quote(f'properties.{name}')} = {quote(value)},\n    "
            for name, value in describe_kafka(settings.RELAY["CLIENT_OPTIONS"]).items()
        ).rstrip(" "),
        database=", ".join(f"{quote(name)} = {quote(value)}" for name, value in _describe_database().items()),
        schema=FLINK.schema,
    )


def quote(text: str) -> str:
    """Return `text` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _describe_database() -> dict[str, str]:
    database = settings.DATABASES["default"]
    options = {"stringtype": "unspecified", "reWriteBatchedInserts": "true", "ApplicationName": "shop-flink"}
    options |= {
        name: str(value)
        for name, value in database.get("OPTIONS", {}).items()
        if name in ("sslmode", "sslrootcert", "sslcert", "sslkey")
    }
    words = "&".join(f"{name}={value}" for name, value in options.items())
    address = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}/{database['NAME']}"
    return {
        "connector": "jdbc",
        "url": f"jdbc:postgresql://{address}?{words}",
        "username": str(database["USER"]),
        # The connector refuses an empty password. A server that trusts this machine ignores it.
        "password": str(database["PASSWORD"] or _read_passfile(database) or "none"),
        "sink.buffer-flush.interval": "500 ms",
        "sink.buffer-flush.max-rows": "1000",
    }


def _read_passfile(database: Mapping[str, Any]) -> str:
    """Return the password in the file that libpq reads, or "" without one."""
    passfile = database.get("OPTIONS", {}).get("passfile")
    return Path(passfile).read_text().splitlines()[0].rpartition(":")[2] if passfile else ""


def describe_kafka(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties of a Java client that mean the same as kafka-python's `options`."""
    if not options:
        return {}
    found = {"security.protocol": str(options["security_protocol"])}
    if mechanism := options.get("sasl_mechanism"):
        module = _LOGIN.format("scram.Scram" if mechanism.startswith("SCRAM") else "plain.Plain")
        user, password = (
            str(options[f"sasl_plain_{name}"]).replace("\\", "\\\\").replace('"', '\\"')
            for name in ("username", "password")
        )
        found["sasl.mechanism"] = mechanism
        found["sasl.jaas.config"] = f'{module} required username="{user}" password="{password}";'
    if authority := options.get("ssl_cafile"):
        found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority)}
    if options.get("ssl_certfile"):
        found["ssl.keystore.type"] = "PEM"
        found["ssl.keystore.certificate.chain"] = Path(options["ssl_certfile"]).read_text()
        found["ssl.keystore.key"] = Path(options["ssl_keyfile"]).read_text()
    return found
