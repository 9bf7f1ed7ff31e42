"""The test tokens and their scripts. A script disturbs the first call with each idempotency key, and no later call.

Only `error-repeated` also disturbs the later calls with a key, as Stripe repeats a stored error.

The authorization's reference contains the script's name, so the script also applies to captures and refunds.
`tok_ok`, `tok_declined` and `tok_insufficient_funds` have no script. A token that begins with UNIQUE is approved,
too. With all other tokens an authorization succeeds in the end.
"""

import os
import secrets

#: Duration of a call that hangs: longer than the read timeout of any client.
HANG_SECONDS = float(os.environ.get("SANDBOX_HANG_SECONDS", "8"))
SLOW_SECONDS = 3.0
#: Delay of a webhook: soon is after the shop has recorded the failed call, late is after the shop may have retried.
SOON_SECONDS, LATE_SECONDS = 0.3, 4.0

#: Reasons of the tokens that are declined.
DECLINED = {"tok_declined": "card declined", "tok_insufficient_funds": "insufficient funds"}
#: The beginning of approved tokens that are unique, like the tokens of a real gateway.
UNIQUE = "tok_ok_"
#: error-repeated: answers 500 to every call with the first key of an operation, and stores nothing.
#: slow: answers after SLOW_SECONDS (authorizations only).
#: timeout-before, error: stores nothing and hangs, or answers 500.
#: timeout-after: stores the entry, then hangs.
#: wrong-amount: stores the entry and answers with one minor unit more.
#: twice: stores the entry and sends two answers in one body.
#: webhook, -late, -doubled, -disordered: stores the entry, answers 500 and sends a webhook soon, late, twice, or
#: before an older webhook.
SCRIPTS = (
    *("error-repeated", "slow", "timeout-before", "timeout-after", "error", "wrong-amount", "twice"),
    *("webhook", "webhook-late", "webhook-doubled", "webhook-disordered"),
)
#: A token whose authorizations are approved and whose captures are declined.
CAPTURE_DECLINED = "tok_capture_declined"
TOKENS = ("tok_ok", *DECLINED, *(f"tok_{script.replace('-', '_')}" for script in SCRIPTS))


def find_refusal(token: str) -> str | None:
    """Return the reason why an authorization with `token` is declined, or None if it is approved."""
    known = token in (*TOKENS, CAPTURE_DECLINED) or token.startswith(UNIQUE)
    return DECLINED.get(token, None if known else "no such token")


def find_capture_refusal(reference: str) -> str | None:
    """Return the reason why the captures of the authorization `reference` are declined, or None."""
    return "expired card" if read_script(reference) == "capture-declined" else None


def find_script(token: str) -> str:
    """Return the script's name of `token`, or "" if the token has no script."""
    script = token.removeprefix("tok_").replace("_", "-")
    return script if script in (*SCRIPTS, "capture-declined") else ""


def make_reference(token: str) -> str:
    """Return a new reference with the script's name of `token`. The script `slow` is for authorizations only."""
    script = find_script(token)
    return f"auth_{script}_{secrets.token_hex(12)}" if script and script != "slow" else f"auth_{secrets.token_hex(12)}"


def read_script(reference: str) -> str:
    """Return the script's name in `reference`, or "" if there is none."""
    return reference.removeprefix("auth_").rpartition("_")[0]
