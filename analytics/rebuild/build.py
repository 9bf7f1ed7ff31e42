"""A whole rebuild: begin or continue, fill, compare, switch."""

from collections.abc import Callable

from analytics.facts.rows import READERS
from analytics.models import GenerationChoice
from analytics.rebuild.aside import add_aside, create_aside
from analytics.rebuild.choice import begin, changing, name_other
from analytics.rebuild.comparison import compare_sealed_days
from analytics.rebuild.filler import FIRST, SESSION_STEPS, Filler, Progress, add_progress
from analytics.rebuild.helper import Helper
from analytics.rebuild.restoration import restore
from analytics.rebuild.switch import switch
from analytics.retention import drop_with_activity
from analytics.sessions import compute_sessions
from relay.operations.audit import demand_reason

#: Comparisons before a difference counts: a late event may be on its way to the other generation.
COMPARISONS = 3


def rebuild(
    *,
    actor: str,
    reason: str,
    force: bool = False,
    keep_orders: bool = False,
    helper: Helper | None = None,
    report: Callable[[str], None],
    note: Callable[[Progress], None],
) -> bool:
    """Fill the other generation, compare it and switch to it; return whether readers now read it.

    A rebuild that was interrupted continues. If sealed days differ, nothing is switched, unless `force`.

    :param keep_orders: copy the tables of orders and stock if some of their events are pruned.
    :param helper: the second process, if there are two.
    :param report: receives sentences about the state.
    :param note: receives the progress after each step.
    :raises Refused: events can't be found, an event fails, a former generation is kept, or another process rebuilds.
    """
    demand_reason(reason)
    with changing():
        topics = sorted({event.topic for event in READERS})
        choice = begin(topics, actor=actor, reason=reason, keep_orders=keep_orders)
        filler = Filler(name_other(choice), half=FIRST if helper else None)
        report(f"{'continuing' if choice.events else 'building'} the generation in the schema {choice.other}")
        restore(choice, report)
        fill(filler, choice, note, helper)
        report(f"{choice.events + filler.catch_up()} events are applied; comparing the sealed days")
        if not is_equal(filler, report) and not force:
            report("readers keep the current generation. Run the rebuild with --force to switch anyway,")
            report("or delete the new generation with `manage.py analytics drop-generation`")
            return False
        last = switch(filler, action="switch generation", actor=actor, reason=f"forced: {reason}" if force else reason)
    report(f"readers read the new generation; {last} events were applied during the switch")
    report("the former generation is kept for a day: `manage.py analytics switch-back` returns to it")
    return True


def fill(
    filler: Filler, choice: GenerationChoice, note: Callable[[Progress], None], helper: Helper | None = None
) -> None:
    """Apply what the current generation has applied, and compute the visits."""
    add_aside(choice.other)  # of an interrupted build with two processes
    if helper:
        create_aside(choice.other)
        choice.second_position, choice.second_events = choice.position, 0
        choice.save(update_fields=["second_position", "second_events"])
        # Visits need all activities of their visitor and day, and the other generation may have some of them.
        helper.start(with_visits=not choice.events)
    for number, progress in enumerate(filler.walk(choice), start=1):
        note(progress)
        if helper:
            helper.check()
        if number % SESSION_STEPS == 0:
            compute_sessions(filler.generation)
    if helper:
        helper.wait()
        add_progress(choice)
        add_aside(choice.other)
    filler.catch_up()
    compute_sessions(filler.generation)
    drop_with_activity()


def is_equal(filler: Filler, report: Callable[[str], None]) -> bool:
    """Compare the sealed days and report the result; return whether they are equal."""
    for _ in range(COMPARISONS):
        filler.catch_up()
        days, differences = compare_sealed_days(filler.generation)
        if not differences:
            report(f"{days} sealed days have the same checksums in both generations")
            return True
    report(f"{len({one.day for one in differences})} of {days} sealed days differ:")
    for difference in differences:
        report(f"  {difference}")
    return False
