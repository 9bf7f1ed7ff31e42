"""How far the job is: the time before which every event is in the tables, from Kafka's offsets.

Flink commits its offsets after a checkpoint, and a checkpoint ends after all rows before it are in PostgreSQL. A target
has a time and Kafka's ends at that time: once the committed offsets have reached these ends, every event before the
target's time is in the tables. After a failure Flink returns to its last checkpoint, so a target that was reached stays
true, although later figures go back for a while.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from analytics.completeness import list_topics, read_now
from analytics.flink.cluster import Job
from analytics.flink.script import GROUP
from relay.consumer.tail import Spot, Tail
from relay.consumer.watermarks import use_indexes
from relay.operations import cluster
from relay.partitions import read_low_watermark

TOPICS = list_topics()
#: Targets that wait to be reached. While more wait, the oldest ones stay.
MOST_TARGETS = 600
#: Completed checkpoints of a job before its offsets count: earlier ones may be of the job before.
FIRST_CHECKPOINTS = 2
# The time of the oldest event that is not in Kafka; refused rows, and rows behind them, are counted as refused keys.
_UNPUBLISHED = """
select min(occurred_at) from relay_outbox o
where position > %(low)s and published_at is null and topic = any(%(topics)s) and not exists (
    select from relay_outbox r where r.topic = o.topic and r.key = o.key and r.refused_reason is not null
    and r.sequence <= o.sequence)
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Every event that occurred before `until` is in Kafka below `ends`. `at` is when this was read."""

    at: datetime
    until: datetime
    ends: Mapping[Spot, int]

    def is_reached(self, committed: Mapping[Spot, int]) -> bool:
        """Return whether all records below the ends are in the tables."""
        return all(end == 0 or committed.get(spot, 0) >= end for spot, end in self.ends.items())


class Progress:
    """Targets of the last minutes, and the newest one that the job has reached."""

    def __init__(self) -> None:
        """Connect to Kafka.

        :raises BrokerUnavailable: no broker answered, or a topic is missing.
        """
        self._tail = Tail(TOPICS, client_id="flinkwatch")
        self._targets = deque[Target]()
        #: Records that are not in the tables for certain.
        self.waiting = 0

    def close(self) -> None:
        """Close the connection to Kafka."""
        self._tail.close()

    def set_target(self) -> Target:
        """Read the ends of all topics, and return the target of this moment. The order of the three steps matters."""
        until = read_now()
        with use_indexes() as cursor:
            cursor.execute(_UNPUBLISHED, {"low": read_low_watermark(), "topics": TOPICS})
            (unpublished,) = cursor.fetchone()
        with connection.cursor() as cursor:
            cursor.execute("select clock_timestamp()")
            (at,) = cursor.fetchone()
        # A partition without records has nothing to apply, also if it had some before the retention.
        ends = {spot: 0 if first == end else end for spot, (first, end) in self._tail.read_bounds().items()}
        target = Target(at, min(until, unpublished or until), ends)
        if len(self._targets) < MOST_TARGETS:
            self._targets.append(target)
        return target

    def follow(self, job: Job) -> Target | None:
        """Return the newest target that `job` has reached since the last call, or None."""
        committed = cluster.read_committed([GROUP]).get(GROUP, {})
        target = self._targets[-1] if self._targets else None
        self.waiting = sum(max(0, end - committed.get(spot, 0)) for spot, end in target.ends.items()) if target else 0
        if job.checkpoints < FIRST_CHECKPOINTS or job.checkpoint_at is None:
            return None
        reached = None
        while self._targets and self._targets[0].is_reached(committed) and self._targets[0].at <= job.checkpoint_at:
            reached = self._targets.popleft()
        return reached
