"""Credentials of the embedded parts with SECURE=1: users, passwords and certificates, in the folder VAR_DIR/secure.

key               the random key from which all passwords are derived
ca.pem            the authority that signed the servers' certificates; its private key is deleted after the signatures
<server>.pem      the certificate of a server, <server>.key its private key
pgpass            PostgreSQL's password, in the format of libpq

shop/settings.py reads the key. `manage.py up` writes all files, so settings never write anything.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ImproperlyConfigured

from shop.embedded.certificates import CredentialsUnavailable, create_certificates
from shop.environment import derive_key, name_process, read_bool, read_text

_SERVERS = ("kafka", "postgres")
KAFKA_ADMIN = "admin"
SCRAM = "SCRAM-SHA-512"


@dataclass(frozen=True)
class Credentials:
    """The credentials in `folder`."""

    folder: Path
    key: str

    @property
    def authority(self) -> Path:
        """Return the path of the authority's certificate, which clients trust."""
        return self.folder / "ca.pem"

    @property
    def exist(self) -> bool:
        """Return whether `create` has written the files."""
        return self.authority.exists()

    def derive_password(self, part: str, user: str) -> str:
        """Return the password of `user` at the server `part`."""
        return derive_key(self.key, f"password of {user} at {part}")

    def create(self) -> None:
        """Write the missing files. The last one is ca.pem, so the files are complete if it exists.

        :raises CredentialsUnavailable: openssl is missing or failed, or SECURE_KEY has changed.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stored = self.folder / "key"
        if stored.exists() and stored.read_text() != self.key:
            raise CredentialsUnavailable(
                f"SECURE_KEY differs from the key in {stored}, from which the passwords of the parts were derived: "
                "unset SECURE_KEY, or delete the data with `make reset`"
            )
        write_secret(stored, self.key)
        password = self.derive_password("postgres", "postgres")
        write_secret(self.folder / "pgpass", f"127.0.0.1:*:*:postgres:{password}\n")
        if self.exist:
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as unfinished:
            create_certificates(Path(unfinished), _SERVERS)
            for name in (*(f"{server}{end}" for server in _SERVERS for end in (".pem", ".key")), "ca.pem"):
                shutil.move(Path(unfinished) / name, self.folder / name)

    def make_database_url(self, port: int) -> str:
        """Return the address of the embedded PostgreSQL, which names the file of the password."""
        options = {"sslmode": "verify-full", "sslrootcert": self.authority, "passfile": self.folder / "pgpass"}
        return f"postgres://postgres@127.0.0.1:{port}/shop?{urlencode(options)}"

    def make_valkey_url(self, port: int) -> str:
        """Return the address of the embedded Valkey, with its password."""
        return f"redis://:{self.derive_password('valkey', 'default')}@127.0.0.1:{port}/0"

    def describe_kafka_client(self, arguments: list[str]) -> dict[str, Any]:
        """Return kafka-python's options for the process that was started with `arguments`.

        The relay and each consumer log in as themselves. Web and Celery don't use Kafka and have no user. Commands for
        operators log in as the administrator.
        """
        name = name_process(arguments).removeprefix("shop ")
        if name in ("granian", "worker", "beat"):
            return {}
        user = name.partition("_")[2] if re.fullmatch(r"(run|consume)_\w+", name) else KAFKA_ADMIN
        return {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": SCRAM,
            "sasl_plain_username": user,
            "sasl_plain_password": self.derive_password("kafka", user),
            "ssl_cafile": str(self.authority),
        }

    def list_kafka_users(self, processes: Sequence[str]) -> dict[str, str]:
        """Return the password of each Kafka user: the administrator and `processes`."""
        return {user: self.derive_password("kafka", user) for user in (KAFKA_ADMIN, *processes)}


def read_credentials(var_dir: Path) -> Credentials | None:
    """Return the credentials if SECURE=1, or if `var_dir` was created with SECURE=1. Otherwise return None.

    SECURE_KEY replaces the random key, for example in tests.

    :raises ImproperlyConfigured: the key is not readable, because another user has created it.
    """
    key = var_dir / "secure" / "key"
    try:
        stored = key.read_text() if key.exists() else ""
    except OSError as error:
        raise ImproperlyConfigured(
            f"VAR_DIR={str(var_dir)!r} was created with SECURE=1, and {key} can't be read: {error.strerror}. "
            "Run the command as the user who runs `make up`"
        ) from error
    if not (read_bool("SECURE") if read_text("SECURE", "") else bool(stored)):
        return None
    return Credentials(key.parent, read_text("SECURE_KEY", "") or stored or secrets.token_hex(32))


def write_secret(path: Path, content: str) -> None:
    """Replace the file `path` by one that only its owner can read."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    unfinished.replace(path)
