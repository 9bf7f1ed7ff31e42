"""The circuit breaker: if a large share of the keys fails, the consumer is at fault and not the events.

The breaker then pauses all processes of the consumer instead of parking the whole topic, and probes a few of the failed
keys from time to time. A new process probes at once, because a deployment may have fixed the bug. The breaker also
obeys a pause that a person has ordered.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from relay.consumer.cursors import Key, lock_cursors, take_parked
from relay.database import connection, transaction

logger = logging.getLogger(__name__)

# The breaker opens when this share of the recent keys has failed.
SHARE = 0.5
# Keys that must have been tried before the share counts, and keys that are remembered.
MIN_KEYS, WINDOW = 20, 50
# Failed keys that one probe tries.
PROBED = 5
SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 300.0
LOOK_EVERY_SECONDS = 1.0
NAME = "circuit breaker"

_OPEN = """
insert into relay_consumerstate as s (consumer, paused_at, paused_by, reason, resume_at)
values (%(consumer)s, clock_timestamp(), %(name)s, %(reason)s, clock_timestamp() + make_interval(secs => %(pause)s))
on conflict (consumer) do update set paused_at = coalesce(s.paused_at, excluded.paused_at),
    paused_by = excluded.paused_by, reason = excluded.reason, resume_at = excluded.resume_at
where s.paused_at is null or s.paused_by = %(name)s
"""
_CLOSE = """
update relay_consumerstate set paused_at = null, paused_by = '', reason = '', resume_at = null
where consumer = %s and paused_by = %s
"""
_LOOK = """
select coalesce(state.paused_by, ''), coalesce(state.reason, ''), coalesce(state.resume_at <= clock_timestamp(), false),
       exists (select from relay_cursor c where c.consumer = named.consumer and c.parked_at is not null
                                            and c.next_try_at <= clock_timestamp())
from (select %s::text as consumer) named
left join relay_consumerstate state on state.consumer = named.consumer and state.paused_at is not null
"""
_HAS_RETRIES = """
select exists (select from relay_cursor
               where consumer = %s and parked_at is not null and next_try_at is not null)
"""
_MAKE_DUE = """
update relay_cursor c set attempts = 0, next_try_at = clock_timestamp()
from unnest(%s::text[], %s::text[]) as failed (topic, key)
where consumer = %s and c.topic = failed.topic and c.key = failed.key
  and parked_at is not null and next_try_at is not null
"""


class CircuitOpened(Exception):
    """A large share of the keys fails. The last key is not parked, and the caller must process its batch again."""


class Breaker:
    """Record of a consumer's failures in one process; decides whether the consumer may run."""

    def __init__(self, consumer: Any) -> None:
        """Watch `consumer` (a :class:`relay.consumer.consumer.Consumer`)."""
        self._consumer = consumer
        self._failed: dict[Key, bool] = {}  # whether the key failed; the key that was tried last comes last
        self._pause = SHORTEST_SECONDS
        self._look_at = 0.0
        self._running: bool | None = None  # None: this process has not read the consumer's state yet
        #: Whether the last look has found a parked key whose retry is due. The Receiver resets it.
        self.has_due_keys = False

    def succeed(self, keys: Sequence[Key]) -> None:
        """Record that an event of each of `keys` was applied."""
        for key in keys[-WINDOW:]:
            self._note(key, failed=False)

    def fail(self, key: Key, error: Exception) -> None:
        """Record that an event of `key` can't be applied.

        :raises CircuitOpened: at least SHARE of the recent keys failed.
        """
        self._note(key, failed=True)
        failed, tried = sum(self._failed.values()), len(self._failed)
        if tried >= MIN_KEYS and failed >= SHARE * tried:
            raise CircuitOpened(f"{failed} of the last {tried} keys failed, now with {type(error).__name__}: {error}")

    def _note(self, key: Key, *, failed: bool) -> None:
        self._failed.pop(key, None)
        self._failed[key] = failed
        if len(self._failed) > WINDOW:
            del self._failed[next(iter(self._failed))]

    def open(self, reason: str) -> None:
        """Pause the consumer for a time that doubles with each failed probe. Keys that it has parked become due."""
        logger.error("circuit breaker opened", extra={"consumer": self._consumer.name, "reason": reason})
        self._running = False
        self._wait(reason)

    def _wait(self, reason: str) -> None:
        parameters = {"consumer": self._consumer.name, "name": NAME, "reason": reason[:2000], "pause": self._pause}
        self._pause = min(LONGEST_SECONDS, self._pause * 2)
        with transaction.atomic(), connection.cursor() as cursor:
            keys = lock_cursors(self._consumer.name, {key: 0 for key, failed in self._failed.items() if failed})
            cursor.execute(_MAKE_DUE, [[topic for topic, _ in keys], [key for _, key in keys], self._consumer.name])
            cursor.execute(_OPEN, parameters)

    def may_run(self) -> bool:
        """Return whether the consumer is paused neither by a person nor by a breaker. Queries once a second."""
        now = time.monotonic()
        if self._running is None or now >= self._look_at:
            self._look_at = now + LOOK_EVERY_SECONDS
            self._change(self._read_pause())
        return bool(self._running)

    def _read_pause(self) -> str:
        """Return who paused the consumer and why, or "". First try to end a pause whose `resume_at` has passed."""
        with connection.cursor() as cursor:
            cursor.execute(_LOOK, [self._consumer.name])
            paused_by, reason, due, self.has_due_keys = cursor.fetchone()
        new = self._running is None
        if (paused_by == NAME and (due or new) and self._probe(reason)) or (paused_by != NAME and due):
            with connection.cursor() as cursor:
                cursor.execute(_CLOSE, [self._consumer.name, paused_by])
            return ""
        return paused_by and f"{paused_by}: {reason}"

    def _probe(self, reason: str) -> bool:
        """Try a few of the failed keys; return whether less than SHARE of them failed again.

        If no key is due, another process tries them, or their retry comes later: nothing is known yet, so return False.
        If no key has a retry at all, only new events can show whether the consumer works: return True.
        """
        keys = take_parked(self._consumer.name, PROBED, newest_first=True)
        if not keys:
            return not self._has_retries()
        failed = [key for key in keys if not self._consumer.catch_up(key)]
        for key in failed:
            self._note(key, failed=True)
        if failed and len(failed) >= SHARE * len(keys):
            self._wait(reason)
            return False
        self._pause = SHORTEST_SECONDS
        return True

    def _has_retries(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_HAS_RETRIES, [self._consumer.name])
            return bool(cursor.fetchone()[0])

    def _change(self, paused: str) -> None:
        if paused and self._running is not False:
            logger.warning("consumer paused", extra={"consumer": self._consumer.name, "reason": paused})
        elif not paused and self._running is False:
            logger.warning("consumer resumed", extra={"consumer": self._consumer.name})
            self._failed.clear()
        self._running = not paused
