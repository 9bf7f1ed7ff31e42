"""The claim: of several live processes, one at a time writes to the ledger."""

import os
import socket
from uuid import uuid4

from django.db import connection

from shop.control.ledger.models import LedgerState

#: A process that stops without a word keeps the claim for this time.
CLAIM_SECONDS = 20.0
_CLAIM = """
update control_ledgerstate set owner = %(owner)s, until = clock_timestamp() + make_interval(secs => %(seconds)s)
where id = 1 and (owner = %(owner)s or until < clock_timestamp())
"""


class ClaimLost(Exception):
    """Another process has taken the claim, so the work of this round is not stored."""


def name_owner() -> str:
    """Return a new name that no other process has."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"


def take_claim(owner: str) -> LedgerState | None:
    """Take or renew the claim and return the progress, or return None while another process has it."""
    with connection.cursor() as cursor:
        cursor.execute("insert into control_ledgerstate (id) values (1) on conflict (id) do nothing")
        cursor.execute(_CLAIM, {"owner": owner, "seconds": CLAIM_SECONDS})
        return LedgerState.objects.get(pk=1) if cursor.rowcount else None


def check_claim(owner: str) -> None:
    """Lock the claim until the end of the transaction.

    :raises ClaimLost: another process has it.
    """
    with connection.cursor() as cursor:
        cursor.execute("select from control_ledgerstate where id = 1 and owner = %s for update", [owner])
        if cursor.fetchone() is None:
            raise ClaimLost(f"{owner} has lost the claim on the ledger")


def give_up_claim(owner: str) -> None:
    """End the claim at once, for example when the process stops."""
    with connection.cursor() as cursor:
        cursor.execute("update control_ledgerstate set until = clock_timestamp() where owner = %s", [owner])
