"""A round of the ledger: cut windows, read Kafka, compare open checks, and repeat some checks.

The work of a round is limited in time, so the cost does not depend on the number of events in the shop.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from relay.conf import configuration
from relay.partitions import read_position
from relay.process.broker import BrokerUnavailable
from shop.control.ledger import audit, effects, logbook
from shop.control.ledger.checks import find_open, list_open_parts, store_outcome
from shop.control.ledger.claim import ClaimLost, check_claim, give_up_claim, name_owner, take_claim
from shop.control.ledger.log import LogReader
from shop.control.ledger.models import LedgerCheck, LedgerDifference, LedgerState
from shop.control.ledger.parts import list_parts
from shop.control.ledger.passage import Passage, is_calm
from shop.control.ledger.rows import read_rows
from shop.control.ledger.traces import TRACES, Trace
from shop.control.ledger.windows import WINDOW_SECONDS, StablePosition, cut_windows

logger = logging.getLogger(__name__)

#: Time in a round for reading Kafka, for the comparisons of consumers, and for repeating closed ones.
READ_SECONDS, COMPARE_SECONDS, AUDIT_SECONDS = 1.0, 0.5, 0.1
#: Share of the time that repetitions take. One of a window of a busy shop takes 0.1 s.
AUDIT_SHARE = 0.005
#: Longest pause between repetitions. On a machine without free time, one may take a second.
AUDIT_PAUSE_SECONDS = 20.0
#: Open checks of a part that one round compares at most.
MOST_CHECKS = 8


@dataclass(slots=True)
class Ledger:
    """The ledger of one process. Only the process with the claim works."""

    parts: dict[str, list[str]] = field(default_factory=list_parts)
    traces: Sequence[Trace] = TRACES
    window_seconds: float = WINDOW_SECONDS
    owner: str = field(default_factory=name_owner)
    _reader: LogReader | None = None
    _stable: StablePosition = field(default_factory=StablePosition)
    _book: logbook.Logbook = field(default_factory=logbook.Logbook)
    _passage: Passage = field(default_factory=Passage)
    _audit_at: float = 0.0

    def work(self) -> bool:
        """Work for one round. Return False if another process has the claim, or Kafka does not answer.

        :raises django.db.Error: the database failed. The next round repeats the work.
        """
        state = take_claim(self.owner)
        if state is None:
            self.close()
            return False
        try:
            problem = self._work_with_claim(state)
        except ClaimLost as error:
            logger.warning("the ledger's claim is lost", extra={"error": str(error)})
            self.close()
            return False
        except BaseException:
            self.close()
            raise
        LedgerState.objects.filter(pk=1, owner=self.owner).update(worked_at=Now(), problem=problem)
        return not problem

    def _work_with_claim(self, state: LedgerState) -> str:
        """Compare all parts. Return why Kafka can't be read, or an empty text."""
        problem, calm = "", is_calm()
        try:
            self._work_with_log(state, calm=calm)
        except BrokerUnavailable as error:
            problem = str(error)
            self.close()
        self._compare_consumers(calm=calm and not problem)
        self._repeat_checks()
        return problem

    def _repeat_checks(self) -> None:
        """Repeat some closed checks, after a pause that keeps repetitions below AUDIT_SHARE of the time."""
        began = time.monotonic()
        if began >= self._audit_at:
            audit.repeat_checks(self.parts, self.traces, seconds=AUDIT_SECONDS)
            self._audit_at = began + min((time.monotonic() - began) / AUDIT_SHARE, AUDIT_PAUSE_SECONDS)

    def close(self) -> None:
        """Forget everything that is not stored. After a restore of the database it would be wrong."""
        if self._reader:
            self._reader.close()
        self._reader = None
        self._stable, self._book, self._passage = StablePosition(), logbook.Logbook(), Passage()

    def stop(self) -> None:
        """Close, and let another process work at once."""
        self.close()
        give_up_claim(self.owner)

    def _work_with_log(self, state: LedgerState, *, calm: bool) -> None:
        topics = self.parts[LedgerCheck.LOG]
        if self._reader is None:
            keeping = [topic for topic in topics if configuration().retention_of(topic) < 0]
            self._reader = LogReader(topics, state.offsets, keeping=keeping)
        if state.began_at is None:
            self._begin(state, self._reader)
        with transaction.atomic():
            check_claim(self.owner)
            cut_windows(state, self._stable.update(), self.parts, seconds=self.window_seconds)
        self._compare_log(state, self._reader, calm=calm)

    def _begin(self, state: LedgerState, reader: LogReader) -> None:
        """Begin after the last position: its records come after the ends that `reader` has found before."""
        state.began_after = state.position = read_position()
        state.offsets = reader.export()
        with transaction.atomic():
            check_claim(self.owner)
            LedgerState.objects.filter(pk=state.pk).update(
                began_at=Now(), began_after=state.position, position=state.position, offsets=state.offsets
            )
        state.refresh_from_db()

    def _compare_log(self, state: LedgerState, reader: LogReader, *, calm: bool) -> None:
        """Compare the open checks of the log. Read the rows first: the records of published rows are in Kafka then."""
        topics = self.parts[LedgerCheck.LOG]
        with connection.cursor() as cursor:
            cursor.execute("select clock_timestamp()")
            (at,) = cursor.fetchone()
        read = [(check, read_rows(check, topics)) for check in find_open(LedgerCheck.LOG, limit=MOST_CHECKS)]
        complete, deleted = reader.read(seconds=READ_SECONDS)
        losses = [(loss, reader.read_remainder(loss.spot)) for loss in deleted]
        self._passage.note_ends(at, reader.ends)
        with transaction.atomic():
            check_claim(self.owner)
            for check, rows in read:
                outcome = self._book.compare(check, rows, reader, complete=complete, calm=calm)
                store_outcome(check, outcome)
                reader.forget(row.event_id for row in rows)
            self._count_leftovers(state, reader)
            for loss, remainder in losses:
                found = logbook.reopen_lost(loss, remainder, reader.count_partitions(loss.spot[0]))
                logger.error(
                    "Kafka has deleted records", extra={"spot": loss.spot, "records": loss.records, "rows": found}
                )
            LedgerState.objects.filter(pk=1).update(
                offsets=reader.export(), repeats=F("repeats") + reader.take_repeats()
            )
            if complete:
                LedgerState.objects.filter(pk=1).update(read_at=Now())

    def _count_leftovers(self, state: LedgerState, reader: LogReader) -> None:
        """Count the records as repeats that no row waits for."""
        unread = LedgerCheck.objects.filter(part=LedgerCheck.LOG, closed_at=None, checked_at=None)
        first = unread.order_by("window_id").values_list("window__after", flat=True).first()
        left = reader.take_leftovers(state.position if first is None else first)
        sorted_ = logbook.sort_leftovers(left, reader, logbook.read_outstanding(), state.began_after)
        reader.count_leftovers(sorted_.repeats)

    def _compare_consumers(self, *, calm: bool) -> None:
        """Compare the open checks of each consumer, until it has applied less than half of a window."""
        deadline = time.monotonic() + COMPARE_SECONDS
        for consumer in sorted(list_open_parts() & self.parts.keys() - {LedgerCheck.LOG}):
            for check in find_open(consumer, limit=MOST_CHECKS):
                if time.monotonic() > deadline or not self._compare_consumer(check, calm=calm):
                    break

    def _compare_consumer(self, check: LedgerCheck, *, calm: bool) -> bool:
        """Compare one check. Return False if most of its events wait, so that later ones wait too."""
        topics = self.parts[check.part]
        outcome = effects.compare(check, topics, self.traces)
        if outcome.waiting and calm:
            try:
                passed = self._passage.find_passed(check.part, outcome.waiting)
            except BrokerUnavailable:
                passed = set()
            if passed:  # the cursors again, after the committed offsets
                outcome = effects.compare(check, topics, self.traces)
                passed &= set(outcome.waiting)
                outcome.waiting = [position for position in outcome.waiting if position not in passed]
                outcome.differences |= dict.fromkeys(passed, LedgerDifference.Kind.unapplied.value)
        with transaction.atomic():
            check_claim(self.owner)
            store_outcome(check, outcome)
        return len(outcome.waiting) * 2 <= check.rows
