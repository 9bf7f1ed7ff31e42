"""An HMAC over the time and the body, ``t=<seconds>,v1=<hex>``: whoever repeats an old one or changes it is refused."""

import hmac

from payments.gateways.protocol import BadHint

TOLERANCE_SECONDS = 300


def sign(body: bytes, secret: str, now: float) -> str:
    """Return the signature of `body` at `now`, in seconds since 1970."""
    return f"t={int(now)},v1={compute_mac(body, secret, int(now))}"


def check_signature(header: str, body: bytes, secret: str, now: float) -> None:
    """Accept the signature `header` of `body`.

    :raises BadHint: it has another shape, is of another secret or body, or TOLERANCE_SECONDS away from `now`.
    """
    fields = dict(field.partition("=")[::2] for field in header.split(","))
    moment, mac = fields.get("t", ""), fields.get("v1", "")
    if not (moment.isascii() and moment.isdecimal() and len(moment) < 12):
        raise BadHint(f"the signature {header!r:.100} has no time")
    if not hmac.compare_digest(mac.encode(), compute_mac(body, secret, int(moment)).encode()):
        raise BadHint("the signature does not fit the body")
    if abs(now - int(moment)) > TOLERANCE_SECONDS:
        raise BadHint(f"the signature is {now - int(moment):.0f} s old, {TOLERANCE_SECONDS} at most")


def compute_mac(body: bytes, secret: str, moment: int) -> str:
    """Return the HMAC-SHA256 over the time, a dot and the body, in hex."""
    return hmac.new(secret.encode(), f"{moment}.".encode() + body, "sha256").hexdigest()
