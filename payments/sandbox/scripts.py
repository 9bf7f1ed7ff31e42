"""What each token does. A script disturbs the first call of every idempotency key, and no later one.

The script goes on into captures and refunds, because the authorization's reference carries its name. `tok_ok`,
`tok_declined` and `tok_insufficient_funds` behave; all others are approved in the end.
"""

import os
import secrets

#: How long a call hangs that is to time out: longer than any client waits.
HANG_SECONDS = float(os.environ.get("SANDBOX_HANG_SECONDS", "8"))
SLOW_SECONDS = 3.0
#: When a webhook comes: once the shop has noted that it got no answer, or when it may have asked again.
SOON_SECONDS, LATE_SECONDS = 0.3, 4.0

#: Why a token is declined.
DECLINED = {"tok_declined": "card declined", "tok_insufficient_funds": "insufficient funds"}
#: slow: answers after SLOW_SECONDS, when authorizing.
#: timeout-before, error: hangs or answers 500, nothing is booked.   timeout-after: books, then hangs.
#: wrong-amount: books what was asked, and answers with one cent more.   twice: books, sends a body with two answers.
#: webhook…: books, answers 500, and tells by webhook: at once, late, twice, or two of them in the wrong order.
SCRIPTS = (
    *("slow", "timeout-before", "timeout-after", "error", "wrong-amount", "twice"),
    *("webhook", "webhook-late", "webhook-doubled", "webhook-disordered"),
)
TOKENS = ("tok_ok", *DECLINED, *(f"tok_{script.replace('-', '_')}" for script in SCRIPTS))


def find_refusal(token: str) -> str | None:
    """Return why an authorization with `token` is declined; None when it is approved."""
    return DECLINED.get(token, None if token in TOKENS else "no such token")


def find_script(token: str) -> str:
    """Return the name of the script that `token` stands for, "" for those that behave."""
    script = token.removeprefix("tok_").replace("_", "-")
    return script if script in SCRIPTS else ""


def make_reference(token: str) -> str:
    """Return a new reference that carries the script of `token`, unless that is for authorizing only."""
    script = find_script(token)
    return f"auth_{script}_{secrets.token_hex(12)}" if script and script != "slow" else f"auth_{secrets.token_hex(12)}"


def read_script(reference: str) -> str:
    """Return the name of the script that `reference` carries, "" for none."""
    return reference.removeprefix("auth_").rpartition("_")[0]
