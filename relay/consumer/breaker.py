"""The circuit breaker: where a large share of the keys fails, the consumer is at fault and not the events.

It then pauses the consumer, in all its processes, instead of parking the whole topic, and tries a few of the failed
keys now and then. A new process tries at once: it may be the good deploy. A person's pause is obeyed here too.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from relay.consumer.cursors import Key, lock_cursors, take_due
from relay.database import connection, transaction

logger = logging.getLogger(__name__)

SHARE = 0.5
# Fewer keys say nothing about a share; older ones nothing about now.
LEAST, WINDOW = 20, 50
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
select paused_by, reason, resume_at <= clock_timestamp() from relay_consumerstate
where consumer = %s and paused_at is not null
"""
_MAKE_DUE = """
update relay_cursor c set attempts = 0, next_try_at = clock_timestamp()
from unnest(%s::text[], %s::text[]) as failed (topic, key)
where consumer = %s and c.topic = failed.topic and c.key = failed.key
  and parked_at is not null and next_try_at is not null
"""


class CircuitOpened(Exception):
    """A large share of the keys fails. The last one is not parked; the batch that it came with is to be given again."""


class Breaker:
    """Watches a consumer in one process, and tells whether it may run."""

    def __init__(self, consumer: Any) -> None:
        """Watch `consumer` (a :class:`relay.consumer.consumer.Consumer`)."""
        self._consumer = consumer
        self._failed: dict[Key, bool] = {}  # of the keys that were tried last, the latest at the end
        self._pause = SHORTEST_SECONDS
        self._look_at = 0.0
        self._running: bool | None = None  # None: this process has not looked yet

    def succeed(self, keys: Sequence[Key]) -> None:
        """Take in that an event of each of `keys` was applied."""
        for key in keys[-WINDOW:]:
            self._note(key, failed=False)

    def fail(self, key: Key, error: Exception) -> None:
        """Take in that an event of `key` can't be applied.

        :raises CircuitOpened: too many others can't either.
        """
        self._note(key, failed=True)
        failed, tried = sum(self._failed.values()), len(self._failed)
        if tried >= LEAST and failed >= SHARE * tried:
            raise CircuitOpened(f"{failed} of the last {tried} keys failed, now with {type(error).__name__}: {error}")

    def _note(self, key: Key, *, failed: bool) -> None:
        self._failed.pop(key, None)
        self._failed[key] = failed
        if len(self._failed) > WINDOW:
            del self._failed[next(iter(self._failed))]

    def open(self, reason: str) -> None:
        """Pause the consumer for a time that grows, and make what was parked meanwhile due: it is tried first."""
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
        """Tell whether the consumer is neither paused by a person nor by a breaker. Looks about once a second."""
        now = time.monotonic()
        if self._running is None or now >= self._look_at:
            self._look_at = now + LOOK_EVERY_SECONDS
            self._change(self._look())
        return bool(self._running)

    def _look(self) -> str:
        """Return why the consumer is paused, "" if it is not, after trying to end a pause whose time is up."""
        with connection.cursor() as cursor:
            cursor.execute(_LOOK, [self._consumer.name])
            paused_by, reason, due = cursor.fetchone() or ("", "", False)
        new = self._running is None
        if (paused_by == NAME and (due or new) and self._probe(reason)) or (paused_by != NAME and due):
            with connection.cursor() as cursor:
                cursor.execute(_CLOSE, [self._consumer.name, paused_by])
            return ""
        return paused_by and f"{paused_by}: {reason}"

    def _probe(self, reason: str) -> bool:
        """Try a few of the keys that failed; tell whether most of them do not any more."""
        keys = take_due(self._consumer.name, PROBED, newest_first=True)
        failed = [key for key in keys if not self._consumer.catch_up(key)]
        for key in failed:
            self._note(key, failed=True)
        if failed and len(failed) >= SHARE * len(keys):
            self._wait(reason)
            return False
        self._pause = SHORTEST_SECONDS
        return True

    def _change(self, paused: str) -> None:
        if paused and self._running is not False:
            logger.warning("consumer paused", extra={"consumer": self._consumer.name, "reason": paused})
        elif not paused and self._running is False:
            logger.warning("consumer runs again", extra={"consumer": self._consumer.name})
            self._failed.clear()
        self._running = not paused
