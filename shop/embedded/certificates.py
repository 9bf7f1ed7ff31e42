"""Certificates for servers on this machine, created by openssl and signed by an authority that nobody can use later."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_DAYS = "3650"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# The configuration of openssl, because the system's file differs between versions.
_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class CredentialsUnavailable(Exception):
    """The credentials can't be created. The message says what to do."""


def create_certificates(folder: Path, servers: Sequence[str]) -> None:
    """Create ca.pem, and SERVER.pem and SERVER.key for each of `servers`, in `folder`.

    :raises CredentialsUnavailable: openssl is missing or failed.
    """
    before = os.umask(0o077)
    try:
        authority = ("-x509", "-days", _DAYS, "-extensions", "authority", "-out", folder / "ca.pem")
        _request(folder, "ca", "the shop on this machine", *authority)
        for server in servers:
            _request(folder, server, server, "-out", folder / f"{server}.csr")
            _sign(folder, server)
    finally:
        os.umask(before)
        (folder / "ca.key").unlink(missing_ok=True)


def _request(folder: Path, name: str, subject: str, *options: str | Path) -> None:
    """Create the key `name`.key, and for it a request or a self-signed certificate of `subject`."""
    configuration = folder / f"{name}.cnf"
    configuration.write_text(_CONFIGURATION.format(name=subject))
    _run("req", "-new", "-sha256", *_NEW_KEY, "-config", configuration, "-keyout", folder / f"{name}.key", *options)


def _sign(folder: Path, server: str) -> None:
    names = {"-in": f"{server}.csr", "-out": f"{server}.pem", "-extfile": f"{server}.cnf"}
    signer = {"-CA": "ca.pem", "-CAkey": "ca.key"}
    files = [word for option, name in (names | signer).items() for word in (option, folder / name)]
    # The serial number must differ between the certificates of an authority.
    serial = str(int.from_bytes(os.urandom(8)))
    _run("x509", "-req", "-sha256", "-days", _DAYS, "-extensions", "server", "-set_serial", serial, *files)


def _run(*arguments: str | Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise CredentialsUnavailable(
            "SECURE=1 needs the program openssl to create certificates: install it, for example `apt install openssl`"
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CredentialsUnavailable(f"openssl can't create certificates: {done.stderr.strip()}")
