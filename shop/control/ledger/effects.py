"""Comparison of windows with a consumer's rows: each event is applied, and left each of its effects once."""

from collections.abc import Iterable, Sequence
from typing import Any

from analytics.generation import current, reading
from relay.consumer.watermarks import use_indexes
from shop.control.ledger.models import LedgerCheck, LedgerDifference
from shop.control.ledger.rows import Outcome, select_rows, select_windows
from shop.control.ledger.traces import Trace

Kind = LedgerDifference.Kind

# A row that waits behind a row that Kafka refused counts as parked.
# One statement reads cursors and effects in one snapshot, as the consumer has committed them together.
_COMPARE = """
with {selected},
standing as materialized (
    select s.*, split_part(s.type, '.', 1) as event, c.parked_at is not null as is_parked,
           s.sequence <= coalesce(c.last, (select floor from relay_stream f
                                           where f.topic = s.topic and f.key = s.key), 0)
               as is_applied
    from selected s
    left join lateral (select last, parked_at from relay_cursor
                       where consumer = %(consumer)s and topic = s.topic and key = s.key
                       offset 0) c on true),
counted as materialized (
    select s.position, s.topic, s.key, s.sequence, s.is_applied, {counts} as counts,
           s.is_parked or (not s.is_applied and s.published_at is null and exists (
               select from relay_outbox r where r.topic = s.topic and r.key = s.key and r.sequence <= s.sequence
                 and r.refused_reason is not null)) as is_parked
    from standing s),
judged as (
    select position, case
        when not is_applied then case when is_parked then 'parked' else 'waiting' end
        when counts is null then 'applied'
        when counts[1] > counts[2] then 'doubled'
        when counts[2] >= counts[3] then 'effect'
        when exists (select from relay_intervention i where i.action = 'skip' and i.consumer = %(consumer)s
                       and i.topic = counted.topic and i.key = counted.key and i.sequence = counted.sequence)
            then 'skipped'
        else 'missing' end as result
    from counted)
select result, count(*), case when result in ('applied', 'effect', 'skipped') then null else array_agg(position) end
from judged group by result
"""
_COUNT = """when s.is_applied and s.event = any(array[{events}]) then
    (select array[count(*), count(distinct e.{once}), {least}] from {table} e where {where})"""


def compare(check: LedgerCheck, topics: Sequence[str], traces: Iterable[Trace]) -> Outcome:
    """Compare the rows of `check` with the cursors and the effects of its consumer.

    The first comparison reads the whole window, later ones read the outstanding rows.
    """
    return _compare_rows(check.part, *select_rows(check, topics), traces)


def compare_again(checks: Sequence[LedgerCheck], topics: Sequence[str], traces: Iterable[Trace]) -> Outcome:
    """Compare all rows of the windows of `checks`, which are of one consumer, in one statement."""
    return _compare_rows(checks[0].part, *select_windows(checks, topics), traces)


def _compare_rows(consumer: str, selected: str, values: dict[str, Any], traces: Iterable[Trace]) -> Outcome:
    statement = _COMPARE.format(selected=selected, counts=_make_counts(consumer, traces))
    # The consumer's facts are in the current generation, also if pages read the tables of Flink.
    with reading(current()), use_indexes() as cursor:
        cursor.execute(statement, values | {"consumer": consumer})
        found: dict[str, tuple[int, Any]] = {result: (count, rows) for result, count, rows in cursor.fetchall()}
    numbers = {result: count for result, (count, _) in found.items()}
    positions = {result: rows or [] for result, (_, rows) in found.items()}
    outcome = Outcome(
        found=numbers.get("applied", 0) + numbers.get("effect", 0),
        wanted=numbers.get("effect", 0),
        effects=numbers.get("effect", 0),
        skipped=numbers.get("skipped", 0),
        waiting=positions.get("waiting", []),
        parked=positions.get("parked", []),
    )
    for kind in (Kind.missing, Kind.doubled):
        outcome.differences |= dict.fromkeys(positions.get(kind, []), kind.value)
    return outcome


def _make_counts(consumer: str, traces: Iterable[Trace]) -> str:
    """Return the SQL of [rows, different rows, rows that must be there] of an event, or null without a trace."""
    branches = [
        _COUNT.format(
            events=", ".join(f"'{event}'" for event in trace.events),
            once=trace.once,
            least=trace.least,
            table=trace.table,
            where=trace.where,
        )
        for trace in traces
        if trace.consumer == consumer
    ]
    return f"case {' '.join(branches)} end" if branches else "null::bigint[]"
