"""Signatures of webhooks: an HMAC over the time and the body, ``t=<seconds>,v1=<hex>``. Old signatures are refused."""

import hmac
from collections.abc import Sequence

from payments.gateways.protocol import BadHint

#: Maximum difference between a signature's time and now, in seconds.
TOLERANCE_SECONDS = 300


def sign(body: bytes, secret: str, now: float) -> str:
    """Return the signature of `body` at `now` (seconds since 1970)."""
    return f"t={int(now)},v1={compute_mac(body, secret, int(now))}"


def check_signature(header: str, body: bytes, secrets: Sequence[str], now: float) -> None:
    """Check that `header` is a signature of `body` with one of `secrets`, at most TOLERANCE_SECONDS away from `now`.

    :raises BadHint: the signature is malformed, does not fit the body, or its time is too far from `now`.
    """
    fields = dict(field.partition("=")[::2] for field in header.split(","))
    moment, mac = fields.get("t", ""), fields.get("v1", "")
    if not (moment.isascii() and moment.isdecimal() and len(moment) < 12):
        raise BadHint(f"the signature {header!r:.100} has no valid time")
    expected = [compute_mac(body, secret, int(moment)).encode() for secret in secrets]
    if not any(hmac.compare_digest(mac.encode(), one) for one in expected):
        raise BadHint("the signature does not match the body: check the webhook secret")
    if abs(now - int(moment)) > TOLERANCE_SECONDS:
        raise BadHint(f"the signature is {now - int(moment):.0f} s old, the limit is {TOLERANCE_SECONDS} s")


def compute_mac(body: bytes, secret: str, moment: int) -> str:
    """Return the HMAC-SHA256 over `moment` (seconds since 1970), a dot and `body`, in hex."""
    return hmac.new(secret.encode(), f"{moment}.".encode() + body, "sha256").hexdigest()
