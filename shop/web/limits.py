"""Rate limits. Valkey counts atomically, so a limit holds across all processes.

While Valkey is unavailable, each process counts in its own memory. An outage of Valkey therefore neither stops the shop
nor allows unlimited password guesses.
"""

import ipaddress
import logging
import math
import time
from threading import Lock
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

logger = logging.getLogger(__name__)

#: Seconds without a call to Valkey after an error.
QUIET_SECONDS = 5.0
#: Password attempts without a wait. After that, each attempt doubles the wait: 1, 2, 4 … seconds, at most MOST_WAIT.
FREE_ATTEMPTS = 5
MOST_WAIT = 900
#: Seconds after the end of a wait until the attempts are forgotten.
ATTEMPTS_KEPT = 3600

# GCRA: a key stores the time at which its last permit would be due at a constant rate. A fixed window would allow twice
# the number at its edge. KEYS: name. ARGV: count, seconds. Returns the wait in microseconds.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local span = ARGV[2] * 1000000
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + span / ARGV[1]
if due - span > now then return math.ceil(due - span - now) end
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000))
return 0
"""
# An attempt counts before the password is checked, so parallel attempts count, too. KEYS: name. ARGV: free attempts,
# longest wait, seconds to remember. Returns the wait in milliseconds.
_ATTEMPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or 0)
local from = tonumber(redis.call('HGET', KEYS[1], 'from') or 0)
if from > now then return from - now end
count = count + 1
local wait = 0
if count >= tonumber(ARGV[1]) then wait = math.min(2 ^ math.min(count - ARGV[1], 20), tonumber(ARGV[2])) * 1000 end
redis.call('HSET', KEYS[1], 'count', count, 'from', string.format('%.0f', now + wait))
redis.call('PEXPIRE', KEYS[1], wait + ARGV[3] * 1000)
return 0
"""


class LocalCounts:
    """The same counts in the memory of one process. Expired counts are deleted above MOST_NAMES names."""

    MOST_NAMES = 100_000

    def __init__(self) -> None:
        self._lock = Lock()
        self._due: dict[str, float] = {}
        self._attempts: dict[str, tuple[int, float]] = {}

    def take(self, name: str, count: int, seconds: float) -> float:
        """Do the same as the module's `take`."""
        with self._lock:
            now = time.monotonic()
            if len(self._due) > self.MOST_NAMES:
                self._due = {name: due for name, due in self._due.items() if due > now}
            due = max(self._due.get(name, now), now) + seconds / count
            if due - seconds > now:
                return due - seconds - now
            self._due[name] = due
            return 0.0

    def attempt(self, name: str) -> float:
        """Do the same as the module's `attempt`."""
        with self._lock:
            now = time.monotonic()
            if len(self._attempts) > self.MOST_NAMES:
                self._attempts = {name: kept for name, kept in self._attempts.items() if kept[1] > now}
            count, allowed_from = self._attempts.get(name, (0, 0.0))
            if allowed_from > now:
                return allowed_from - now
            count += 1
            wait = 0 if count < FREE_ATTEMPTS else min(2 ** min(count - FREE_ATTEMPTS, 20), MOST_WAIT)
            self._attempts[name] = (count, now + wait)
            return 0.0

    def forget(self, name: str) -> None:
        """Do the same as the module's `forget`."""
        with self._lock:
            self._attempts.pop(name, None)


local = LocalCounts()
_valkey = redis.Redis.from_url(
    settings.LIMITS_URL,
    socket_timeout=0.2,
    socket_connect_timeout=0.2,
    retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
)
_take = _valkey.register_script(_TAKE)
_attempt = _valkey.register_script(_ATTEMPT)
_quiet_until = 0.0


def take(name: str, count: int, seconds: float) -> float:
    """Take one permit for `name`; `count` permits are available per `seconds`.

    Return 0.0, or the seconds until the next permit if none is available.
    """
    waiting = _call_valkey(lambda: _take(keys=[f"limit:{name}"], args=[count, seconds]))
    return local.take(name, count, seconds) if waiting is None else waiting / 1_000_000


def attempt(name: str) -> float:
    """Count an attempt for `name`. Return 0.0 if it is allowed, or the seconds until the next one is allowed."""
    waiting = _call_valkey(lambda: _attempt(keys=[f"limit:{name}"], args=[FREE_ATTEMPTS, MOST_WAIT, ATTEMPTS_KEPT]))
    return local.attempt(name) if waiting is None else waiting / 1000


def forget(name: str) -> None:
    """Delete the attempts for `name` after a correct password."""
    _call_valkey(lambda: _valkey.delete(f"limit:{name}"))
    local.forget(name)


def _call_valkey(command: Any) -> int | None:
    """Return the result of `command`, or None while Valkey is unavailable."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return None
    try:
        return int(command())
    except redis.RedisError as error:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        logger.warning("Valkey is unavailable: each process counts for itself", extra={"error": str(error)})
        return None


def read_address(request: HttpRequest | Request) -> str:
    """Return the client's address behind TRUSTED_PROXIES proxies: IPv4, the /64 network of IPv6, or "unknown"."""
    address = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < settings.TRUSTED_PROXIES <= len(forwarded):
        address = forwarded[-settings.TRUSTED_PROXIES].strip()
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def limit_request(request: HttpRequest | Request, kind: str, user_id: int | None = None) -> float:
    """Count a request of `kind` (a key of RATE_LIMITS) for its user, or for its address without a user.

    Return 0.0 if the request is allowed, otherwise the seconds to wait.
    """
    if not settings.RATE_LIMITS_ON:
        return 0.0
    count, seconds = settings.RATE_LIMITS[kind]
    return take(f"{kind}:{f'user-{user_id}' if user_id else read_address(request)}", count, seconds)


def limit_page(request: HttpRequest) -> float:
    """Count a request for a page for its address. Return 0.0 if it is allowed, otherwise the seconds to wait.

    Requests that only read are counted in this process, in 6 us. A round trip to Valkey is too slow for a cached page
    of 0.4 ms. An address that uses n web processes can therefore read up to n times the limit.
    """
    if not settings.RATE_LIMITS_ON:
        return 0.0
    reads = request.method in SAFE_METHODS
    kind = "page" if reads else "form"
    return (local.take if reads else take)(f"{kind}:{read_address(request)}", *settings.RATE_LIMITS[kind])


class Limit(BaseThrottle):
    """DRF's throttle. The kind is the view's `limited_as` for the method, or "read" or "write"."""

    _wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Return whether the request is allowed."""
        by_method = "read" if request.method in SAFE_METHODS else "write"
        kind = getattr(view, "limited_as", {}).get(request.method, by_method)
        self._wait = limit_request(request, kind, getattr(request.user, "pk", None))
        return not self._wait

    def wait(self) -> float:
        """Return the seconds until the next request is allowed."""
        return math.ceil(self._wait)
