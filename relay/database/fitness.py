"""Conditions that the relay's database must meet, read from the server: isolation level, sequence and clock.

A wrong isolation level makes publish() fail. A cached sequence loses events silently. Both end a process at its start.
"""

import logging
import time
from dataclasses import dataclass

from relay.conf import configuration
from relay.database import connection, transaction

logger = logging.getLogger(__name__)

#: A larger difference between the clocks of the database and of this machine is reported.
CLOCK_SECONDS = 5.0
_READ = """
select current_setting('transaction_isolation'), extract(epoch from clock_timestamp())::float8,
    (select seqcache from pg_sequence where seqrelid = to_regclass('relay_outbox_position_seq'))
"""
_ALTER = "For example: alter database NAME set default_transaction_isolation = 'read committed'."


class DatabaseUnfit(Exception):
    """The database's settings would make publish() fail or lose events. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A condition that does not hold. With a serious fault no process may start."""

    code: str
    message: str
    hint: str
    is_serious: bool = True


def find_faults() -> list[Fault]:
    """Read the conditions by one query and return those that do not hold."""
    alias = configuration().database
    with transaction.atomic(), connection.cursor() as cursor:
        before = time.time()
        cursor.execute(_READ)
        level, clock, cache = cursor.fetchone()
        after = time.time()
    faults = []
    if level != "read committed":
        message = f"Transactions of the database {alias!r} are {level.upper()}."
        faults.append(Fault("E002", message, f"publish() and consumers need READ COMMITTED. {_ALTER}"))
    if cache not in (None, 1):
        message = f"The sequence relay_outbox_position_seq has a cache of {cache}, so positions are not in order."
        faults.append(Fault("E003", message, "Run: alter sequence relay_outbox_position_seq cache 1"))
    ahead = clock - max(before, min(clock, after))
    if abs(ahead) > CLOCK_SECONDS:
        message = f"The clock of the database {alias!r} differs from this machine's by {ahead:+.0f} s."
        faults.append(Fault("W002", message, "Let both machines follow the same NTP servers.", is_serious=False))
    return faults


def demand_fitness() -> None:
    """Log the faults that are not serious.

    :raises DatabaseUnfit: there is a serious fault.
    """
    faults = find_faults()
    if serious := [f"{fault.message} {fault.hint}" for fault in faults if fault.is_serious]:
        raise DatabaseUnfit(" ".join(serious))
    for fault in faults:
        logger.warning("%s %s", fault.message, fault.hint)
