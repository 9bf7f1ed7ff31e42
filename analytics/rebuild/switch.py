"""The switch: readers and the consumer continue with the other generation, in one transaction.

1. The transaction waits for the consumer's open transactions, and new ones wait for it.
2. The other generation applies the last events. Both generations have then applied the same events.
3. One row is updated. Readers see the row of before or the row of after, so they never see a half table.
4. The consumer continues in the other schema with its cursors, which are right for both.
"""

from functools import partial

from django.db import connection, transaction
from django.utils import timezone

from analytics.generation import CONSUMER, TABLES, lock_current
from analytics.models import GenerationChoice
from analytics.rebuild.choice import name_other, read_choice
from analytics.rebuild.filler import Filler
from relay.operations import Refused
from relay.operations.audit import record_intervention
from relay.partitions import retry_while_busy
from relay.process.failpoint import failpoint

# When events were applied is history that a build can't repeat: `late` and "known then" would be wrong otherwise.
_COPY_ARRIVALS = f"""
truncate {{other}}.{TABLES["arrival"]};
insert into {{other}}.{TABLES["arrival"]} select * from {{schema}}.{TABLES["arrival"]}
"""  # noqa: S608 - our own names


def switch(filler: Filler, *, action: str, actor: str, reason: str) -> int:
    """Make the other generation the current one; return the number of events that it had to apply for this.

    :raises OperationalError: a lock was not free in time. Nothing has changed, and a repetition is safe.
    """
    filler.catch_up()  # most events, before anyone waits
    return retry_while_busy(partial(_switch, filler, action, actor, reason))


def _switch(filler: Filler, action: str, actor: str, reason: str) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '5s'; set local statement_timeout = '60s'")
        lock_current(cursor)
        choice = GenerationChoice.objects.select_for_update().get()
        name_other(choice)
        applied = filler.catch_up()
        cursor.execute(_COPY_ARRIVALS.format(other=choice.other, schema=choice.schema))
        failpoint("generation.switching")
        before, choice.schema, choice.other = choice.schema, choice.other, choice.schema
        choice.switched_at, choice.actor, choice.reason = timezone.now(), actor, reason
        choice.save()
        record_intervention(action, actor=actor, reason=reason, consumer=CONSUMER, before=before, after=choice.schema)
    return applied


def switch_back(*, actor: str, reason: str) -> tuple[str, int]:
    """Make the former generation the current one again; return its schema and the number of events it had to apply.

    :raises Refused: no former generation is kept.
    """
    choice = read_choice()
    former = name_other(choice)
    demand_former(choice)
    return former.schema, switch(Filler(former), action="switch back", actor=actor, reason=reason)


def demand_former(choice: GenerationChoice) -> None:
    """Check that the other generation is a former one.

    :raises Refused: it is still being built.
    """
    if choice.switched_at is None:
        raise Refused("the other generation is still being built: readers have never read it")
