"""The row that names the current and the other generation, with the lock of the process that changes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from analytics.generation import CONSUMER, FIRST, NEXT, SCHEMAS, Generation, create_tables, drop_tables
from analytics.models import GenerationChoice
from analytics.rebuild.aside import drop_aside
from analytics.rebuild.copies import copy_orders
from analytics.rebuild.restoration import begin_restoration
from analytics.rebuild.sources import demand_sources
from relay.operations import Refused
from relay.operations.audit import record_intervention
from relay.operations.fence import fence_off_pruning

#: The former generation is kept for this time after a switch.
KEPT = timedelta(days=1)
# An arbitrary number of an advisory lock of the process that rebuilds, switches back or deletes.
_CHANGING = 7_262_179_021
_DELETE_CURSORS = """
delete from relay_cursor where id in (select id from relay_cursor where consumer = %s limit 20000)
"""


def read_choice() -> GenerationChoice:
    """Return the row. Without one, the first generation is the current one."""
    return GenerationChoice.objects.first() or GenerationChoice(schema=FIRST.schema)


def name_other(choice: GenerationChoice) -> Generation:
    """Return the other generation.

    :raises Refused: there is none.
    """
    if not choice.other:
        raise Refused("there is only one generation: nothing is being built, and no former generation is kept")
    return Generation(NEXT, choice.other)


def find_end_of_keeping(choice: GenerationChoice) -> datetime | None:
    """Return the time at which the former generation is deleted; None if there is no former generation."""
    return choice.switched_at + KEPT if choice.other and choice.switched_at else None


@contextmanager
def changing() -> Iterator[None]:
    """Let no other process rebuild, switch or delete during the block. A killed process holds nothing.

    :raises Refused: another process does so.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", [_CHANGING])
        if not cursor.fetchone()[0]:
            raise Refused(
                "another process rebuilds, switches or deletes a generation: see `manage.py analytics generations`"
            )
        try:
            yield
        finally:
            with connection.cursor() as last:
                last.execute("select pg_advisory_unlock(%s)", [_CHANGING])


def begin(topics: list[str], *, actor: str, reason: str, keep_orders: bool = False) -> GenerationChoice:
    """Create the other generation, or return the row of an interrupted build, which continues.

    :param keep_orders: copy the tables of orders and stock if some of their events are pruned.
    :raises Refused: a former generation is kept, or events can't be found.
    """
    with transaction.atomic():
        fence_off_pruning()
        choice, _ = GenerationChoice.objects.get_or_create(id=1)
        if choice.other and choice.switched_at:
            raise Refused(
                f"the former generation is kept until {find_end_of_keeping(choice):%Y-%m-%d %H:%M} UTC for a switch"
                " back: delete it first with `manage.py analytics drop-generation`"
            )
        if choice.other:
            return choice
        lost = demand_sources(topics, keep_orders=keep_orders)
        choice.other = next(schema for schema in SCHEMAS if schema != choice.schema)
        create_tables(name_other(choice))
        choice.began_at, choice.actor, choice.reason, choice.switched_at = timezone.now(), actor, reason, None
        choice.position = choice.target = choice.events = 0
        choice.is_restoring = False
        if lost.is_activity:
            begin_restoration(choice)
        if lost.names:
            copy_orders(choice, topics)
        choice.save()
        after = f"{choice.other}, orders and stock copied" if lost.names else choice.other
        record_intervention("rebuild", actor=actor, reason=reason, consumer=CONSUMER, before=choice.schema, after=after)
    return choice


def drop_other(choice: GenerationChoice, *, actor: str, reason: str) -> None:
    """Delete the other generation: its tables and then its cursors."""
    other = name_other(choice)
    with transaction.atomic():
        drop_aside()
        drop_tables(other)
        GenerationChoice.objects.update(other="", switched_at=None, position=0, target=0, events=0)
        record_intervention(
            "drop generation", actor=actor, reason=reason, consumer=CONSUMER, before=other.schema, after=""
        )
    delete_cursors()


def delete_cursors() -> None:
    """Delete the cursors of the other generation in small transactions."""
    with connection.cursor() as cursor:
        cursor.execute("delete from relay_settled where consumer = %s", [NEXT])
        while True:
            cursor.execute(_DELETE_CURSORS, [NEXT])
            if not cursor.rowcount:
                return


def drop_former() -> bool:
    """Delete the former generation if it was kept long enough; return whether it was deleted."""
    choice = read_choice()
    end = find_end_of_keeping(choice)
    if end is None or end > timezone.now():
        return False
    with changing():
        drop_other(choice, actor="analytics", reason="a day after the switch")
    return True
