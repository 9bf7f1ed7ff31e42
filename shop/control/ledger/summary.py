"""The ledger as a section of the sample, and the sentences about it in the verdict."""

from typing import Any

from django.db import connection
from django.db.models import Count, Sum

from relay.consumer.origin import count_unexplained
from shop.control.ledger.models import LedgerCheck, LedgerDifference, LedgerState, LedgerTotal, Verification
from shop.control.ledger.parts import list_parts
from shop.control.ledger.windows import count_uncut

Figures = dict[str, Any]
Kind = LedgerDifference.Kind

#: Without a complete round for this time, the ledger's figures are old.
OLD_SECONDS = 60.0
#: Differences whose order numbers a sentence names.
NAMED = 3

#: The sentences by kind: what is wrong, in the singular and the plural, and what a person does.
ADVICE: dict[str, tuple[str, str, str]] = {
    Kind.unsent: (
        "event was left behind by the relay",
        "events were left behind by the relay",
        "Run relay_rescan, so that the relays read it again",
    ),
    Kind.lost: (
        "event is published, but not in Kafka",
        "events are published, but not in Kafka",
        "Run relay_republish for the topic and the time",
    ),
    Kind.inverted: (
        "event is in Kafka in the wrong order",
        "events are in Kafka in the wrong order",
        "Consumers keep the order; report it to the developers of the relay",
    ),
    Kind.unapplied: (
        "event was passed without being applied",
        "events were passed without being applied",
        "It heals within two minutes, or run relay_replay for the consumer",
    ),
    Kind.missing: (
        "applied event has no effect",
        "applied events have no effect",
        "Find out who deleted the rows, and restore them",
    ),
    Kind.doubled: (
        "event has its effect twice",
        "events have their effects twice",
        "Pause the consumer, and find out who wrote the rows",
    ),
}


def read_ledger() -> Figures:
    """Return the totals, the open differences and the last verification. The cost does not grow with the events."""
    state = LedgerState.objects.filter(pk=1).first()
    if state is None or state.began_at is None:
        return {"since": None, "problem": state.problem if state else "", "verification": read_verification()}
    totals = {row.part: row for row in LedgerTotal.objects.all()}
    sums = LedgerCheck.objects.filter(closed_at=None).values("part")
    open_: dict[str, Figures] = {row["part"]: {**row} for row in sums.annotate(*_SUMS, checks=Count("pk"))}
    parts = {part: _describe(totals.get(part), open_.get(part, {})) for part in sorted({*totals, *open_})}
    topics = list_parts()[LedgerCheck.LOG]
    log = parts.get(LedgerCheck.LOG, {})
    uncut = count_uncut(state.position, topics)
    return {
        "since": state.began_at.isoformat(timespec="seconds"),
        "position": state.position,
        "uncut": uncut,
        "committed": log.get("rows", 0) + log.get("unread", 0) + uncut,
        "parts": parts,
        "lost": sum(part["lost"] for part in parts.values()),
        "doubled": sum(part["doubled"] for part in parts.values()),
        "in_flight": uncut + max((part["waiting"] for part in parts.values()), default=0),
        "parked": sum(part["parked"] for part in parts.values()),
        "repeats": state.repeats,
        "foreign": count_unexplained(),
        "problem": state.problem,
        "worked_seconds": _measure_age(state.worked_at),
        "read_seconds": _measure_age(state.read_at),
        "differences": read_kinds(),
        "verification": read_verification(),
    }


_SUMS = tuple(Sum(name) for name in ("waiting", "parked", "lost", "doubled"))


def _describe(total: LedgerTotal | None, row: Figures) -> Figures:
    """Return the figures of a part. `waiting` includes the windows that were never compared."""
    names = ("rows", "found", "wanted", "effects", "skipped")
    known = {name: getattr(total, name) if total else 0 for name in names}
    current = {name: row.get(f"{name}__sum") or 0 for name in ("waiting", "parked", "lost", "doubled")}
    compared = known["found"] + known["skipped"] + current["parked"] + current["lost"] + current["doubled"]
    unread = current["waiting"] - (known["rows"] - compared)
    return known | current | {"unread": max(0, unread), "windows": row.get("checks", 0)}


def _measure_age(at: Any) -> float | None:
    if at is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute("select extract(epoch from clock_timestamp() - %s)::float8", [at])
        return float(round(cursor.fetchone()[0], 1))


def read_kinds() -> list[Figures]:
    """Return the open differences by part and kind, with the order numbers of the newest ones."""
    listed = LedgerDifference.objects.filter(closed_at=None)
    found = []
    for row in listed.order_by().values("part", "kind").annotate(count=Count("pk")).order_by("part", "kind"):
        newest = listed.filter(part=row["part"], kind=row["kind"]).exclude(number="")
        found.append(row | {"numbers": list(newest.values_list("number", flat=True)[:NAMED])})
    return found


def read_verification() -> Figures | None:
    """Return the state of the newest verification with a report, and of a running one."""
    ended = Verification.objects.exclude(ended_at=None).first()
    running = Verification.objects.filter(ended_at=None).first()
    found: Figures = {"running": bool(running), "step": running.step if running else ""}
    if ended and ended.ended_at:
        report = ended.report or {}
        found |= {
            "ended": ended.ended_at.isoformat(timespec="seconds"),
            "age_seconds": _measure_age(ended.ended_at),
            "ok": report.get("ok") if ended.report else None,
            "differences": report.get("found", 0),
            "error": ended.error,
        }
    return found


def describe_findings(ledger: Figures) -> list[tuple[str, str]]:
    """Return (state, sentence) for each thing in the ledger that a person must know."""
    found = []
    for row in ledger.get("differences", []):
        one, many, advice = ADVICE[row["kind"]]
        where = "" if row["part"] == LedgerCheck.LOG else f"{row['part']}: "
        orders = f" (order{'s' * (len(row['numbers']) > 1)} {', '.join(row['numbers'])})" if row["numbers"] else ""
        text = f"{where}{row['count']:,} {one if row['count'] == 1 else many}{orders}. {advice}; see the ledger."
        found.append(("down", text))
    verification = ledger.get("verification") or {}
    if verification.get("ok") is False:
        count = verification["differences"]
        found.append(("down", f"The last full verification found {count:,} differences; see the ledger."))
    age = ledger.get("worked_seconds")
    if ledger.get("since") and (age is None or age > OLD_SECONDS):
        found.append(("unknown", "The ledger has not compared anything for a minute: look at the log of live."))
    return found
