"""Access control of the embedded Kafka with SECURE=1: log-in, encryption, and permissions by topic and group.

Clients and brokers log in by SCRAM on the listener SASL_SSL. SCRAM users are stored in the cluster, so the controllers,
which must start first, recognise each other by certificate. Everything that no rule allows is refused.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import NamedTemporaryFile

from shop.embedded.credentials import KAFKA_ADMIN, SCRAM, Credentials

_LOG_IN = "org.apache.kafka.common.security.scram.ScramLoginModule required"


def describe_access(credentials: Credentials) -> str:
    """Return the lines of a broker's properties file for its listeners SASL_SSL and CONTROLLER."""
    password = credentials.derive_password("kafka", KAFKA_ADMIN)
    key, chain, authority = (
        # PEM in one line: the format of properties files reads \\n as the end of a line.
        path.read_text().strip().replace("\n", "\\n")
        for path in (credentials.folder / "kafka.key", credentials.folder / "kafka.pem", credentials.authority)
    )
    return f"""\
sasl.enabled.mechanisms={SCRAM}
sasl.mechanism.inter.broker.protocol={SCRAM}
listener.name.sasl_ssl.{SCRAM.lower()}.sasl.jaas.config={_LOG_IN} username="{KAFKA_ADMIN}" password="{password}";
ssl.keystore.type=PEM
ssl.keystore.key={key}
ssl.keystore.certificate.chain={chain}
ssl.truststore.type=PEM
ssl.truststore.certificates={authority}
listener.name.controller.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{KAFKA_ADMIN};User:CN=kafka
"""


@contextmanager
def list_users(credentials: Credentials | None, processes: Sequence[str]) -> Iterator[list[str]]:
    """Yield the arguments that let Kafka's formatting tool create all users; none without credentials.

    The passwords are in a file that only this user can read, because all users can read a command line.
    """
    if credentials is None:
        yield []
        return
    with NamedTemporaryFile("w", dir=credentials.folder) as file:
        for user, password in credentials.list_kafka_users(processes).items():
            file.write(f"--add-scram\n{SCRAM}=[name={user},password={password}]\n")
        file.flush()
        yield [f"@{file.name}"]
