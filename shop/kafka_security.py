"""Access to Kafka: encryption and log-in of every client, read from the variables KAFKA_*.

Each process reads its own environment. The relay and the consumers can therefore log in as different users.
"""

import ssl
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from shop.environment import read_choice, read_file, read_text

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_OF_SASL = ("KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")
_OF_SSL = ("KAFKA_SSL_CA_FILE", "KAFKA_SSL_CERT_FILE", "KAFKA_SSL_KEY_FILE")
#: Variables that describe the access to Kafka.
VARIABLES = ("KAFKA_SECURITY_PROTOCOL", *_OF_SASL, *_OF_SSL)


def read_kafka_security() -> dict[str, Any]:
    """Return the security options of kafka-python's clients; empty for a Kafka without encryption and log-in.

    :raises ImproperlyConfigured: a variable is missing, has an invalid value, or has no effect with this protocol.
    """
    protocol = read_choice("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", PROTOCOLS)
    _refuse_ineffective(protocol)
    if protocol == "PLAINTEXT":
        return {}
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": read_choice("KAFKA_SASL_MECHANISM", MECHANISMS[0], MECHANISMS),
            "sasl_plain_username": _demand("KAFKA_SASL_USERNAME", protocol),
            "sasl_plain_password": _demand("KAFKA_SASL_PASSWORD", protocol),
        }
    if protocol.endswith("SSL"):
        options |= _read_certificates()
    return options


def _demand(name: str, protocol: str) -> str:
    """Return the variable `name`, which `protocol` requires."""
    value = read_text(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: KAFKA_SECURITY_PROTOCOL={protocol} requires it")
    return value


def _refuse_ineffective(protocol: str) -> None:
    """Raise for each variable that is set although `protocol` ignores it, because its author expects protection."""
    ignored = (() if protocol.startswith("SASL") else _OF_SASL) + (() if protocol.endswith("SSL") else _OF_SSL)
    for name in ignored:
        if read_text(name, ""):
            raise ImproperlyConfigured(
                f"{name} is set, but KAFKA_SECURITY_PROTOCOL={protocol!r} ignores it: "
                f"unset {name}, or set KAFKA_SECURITY_PROTOCOL to 'SASL_SSL'"
            )


def _read_certificates() -> dict[str, str]:
    """Return the files of certificates. Without KAFKA_SSL_CA_FILE clients trust the system's authorities."""
    authority, certificate, key = (read_file(name) for name in _OF_SSL)
    if bool(certificate) != bool(key):
        missing, given = _OF_SSL[1:] if key else reversed(_OF_SSL[1:])
        raise ImproperlyConfigured(f"{missing} is not set: {given} requires it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = {}
    try:
        if authority:
            name = "KAFKA_SSL_CA_FILE"
            context.load_verify_locations(authority)
            options["ssl_cafile"] = authority
        if certificate:
            name = "KAFKA_SSL_CERT_FILE, KAFKA_SSL_KEY_FILE"
            context.load_cert_chain(certificate, key, password="")
            options |= {"ssl_certfile": certificate, "ssl_keyfile": key}
    except (ssl.SSLError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name}: {authority if name.endswith('CA_FILE') else f'{certificate}, {key}'} can't be used: {error}. "
            "Give files in the PEM format, the key without a password"
        ) from error
    return options
