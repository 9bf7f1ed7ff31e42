"""The limit of letters for each recipient. A stranger can name any address in an order, so letters are rationed.

A recipient is a keyed hash of a normalised e-mail address or telephone number. Its row holds the times of its letters
in the last hour, and the times that are promised to later letters. The row is locked while times are added, so that
any number of consumers together keep the limit.

Anyone can cause letters about orders that were never confirmed: they need no money. These letters get all but RESERVED
of the hour's letters. The others are suppressed, because the order's page shows the same text. Letters about confirmed
orders wait for the next free time, at most LONGEST_DELAY_SECONDS.
"""

import bisect
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from django.conf import settings
from django.db import connection
from django.utils.crypto import salted_hmac

from relay.arrays import to_array

HOUR_SECONDS = 3600.0
#: Letters of each hour that only letters about confirmed orders can use, if the limit is larger.
RESERVED = 2
#: Longest delay of a letter about a confirmed order, in seconds. A letter that would wait longer is suppressed.
LONGEST_DELAY_SECONDS = 6 * HOUR_SECONDS

# The rows are inserted or locked in the order of their keys, so that two consumers do not deadlock.
_LOCK = """
insert into notifications_recipient as recipient (key, times, last_at)
select key, '[]', statement_timestamp() from unnest(%s::text[]) as key order by key
on conflict (key) do update set last_at = recipient.last_at
returning key, times::text, extract(epoch from statement_timestamp())::float8
"""
_STORE = """
update notifications_recipient as recipient set times = new.times::jsonb, last_at = to_timestamp(new.last)
from unnest(%s::text[], %s::text[], %s::float8[]) as new (key, times, last) where recipient.key = new.key
"""
_FORGET = "delete from notifications_recipient where last_at < statement_timestamp() - make_interval(secs => %s)"


class Letter(NamedTuple):
    """A letter to `recipient` that is not stored yet. `proven` is true if its order was confirmed at some time."""

    recipient: str
    proven: bool


def identify_recipient(channel: str, address: str) -> str:
    """Return the key of an e-mail address (`channel` ``email``) or a telephone number (``sms``)."""
    normal = normalise_email(address) if channel == "email" else normalise_phone(address)
    return salted_hmac("notifications.recipients", f"{channel} {normal}", algorithm="sha256").hexdigest()


def normalise_email(address: str) -> str:
    """Return one form for addresses that many mail servers deliver to the same mailbox: no case, tags or dots."""
    local, _, domain = address.strip().casefold().rpartition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain.rstrip('.')}"


def normalise_phone(number: str) -> str:
    """Return the digits of a telephone number, without the prefix 00 of international calls."""
    digits = "".join(character for character in number if character.isdecimal())
    return digits.removeprefix("00")


def schedule_letters(letters: Sequence[Letter]) -> list[float | None]:
    """Return, for each letter, the delay in seconds until it may be sent, or None if it is suppressed.

    Needs an open transaction. Until its end, other letters to the same recipients wait.
    """
    recipients = sorted({letter.recipient for letter in letters})
    if not recipients:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [to_array(recipients)])
        found = cursor.fetchall()
        now = found[0][2]
        times = {key: [t for t in msgspec.json.decode(text) if t > now - HOUR_SECONDS] for key, text, _ in found}
        delays = [find_delay(times[letter.recipient], now, proven=letter.proven) for letter in letters]
        changed = {letter.recipient for letter, delay in zip(letters, delays, strict=True) if delay is not None}
        rows = [(key, msgspec.json.encode(times[key]).decode(), times[key][-1]) for key in sorted(changed)]
        if rows:
            cursor.execute(_STORE, [to_array(column) for column in zip(*rows, strict=True)])
    return delays


def find_delay(times: list[float], now: float, *, proven: bool) -> float | None:
    """Add the time of a new letter to the sorted `times` of its recipient, and return its delay in seconds.

    Return None, and add nothing, if the letter is suppressed. `times` has no time before the last hour.
    """
    limit: int = settings.LETTERS_PER_HOUR
    if not proven:
        limit = max(limit - RESERVED, 1)
    at = now if len(times) < limit else times[-settings.LETTERS_PER_HOUR :][0] + HOUR_SECONDS
    if at > now + (LONGEST_DELAY_SECONDS if proven else 0.0):
        return None
    bisect.insort(times, at)
    return max(at - now, 0.0)


def describe_limit() -> str:
    """Return the reason of suppressed letters, for staff."""
    return f"limit: {settings.LETTERS_PER_HOUR} letters per hour to one recipient"


def forget_recipients() -> None:
    """Delete the recipients without a letter in the last hour or later."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [HOUR_SECONDS])
