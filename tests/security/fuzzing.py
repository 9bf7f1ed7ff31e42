"""Hooks for schemathesis (SCHEMATHESIS_HOOKS): log in as FUZZ_EMAIL, and use existing SKUs in half of the orders."""

import json
import os
import urllib.request
from contextlib import suppress
from typing import Any
from uuid import UUID

import schemathesis

PASSWORD = os.environ["FUZZ_PASSWORD"]
SKUS = ["MUG-KUKSA", "LAMP"]


_tokens: dict[str, str] = {}


def log_in(email: str) -> str:
    """Log in to the fuzzed shop, and return the token."""
    request = urllib.request.Request(
        f"{os.environ['FUZZ_URL']}/api/v1/tokens/",
        json.dumps({"email": email, "password": PASSWORD}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        token: str = json.load(answer)["token"]
    return token


class Login:
    """Adds the role's token to each call. Calls that end log-ins use the token of another account."""

    def get(self, case: Any, context: Any) -> str | None:
        """Return the role's token, or None for a guest. Log in at the first call only."""
        email = os.environ.get("FUZZ_EMAIL")
        if email and email not in _tokens:
            _tokens[email] = log_in(email)
        return _tokens.get(email or "")

    def set(self, case: Any, data: str | None, context: Any) -> None:
        """Set the `Authorization` header of the call."""
        if data is not None:
            ends = case.method == "DELETE" and "/tokens/" in case.path
            token = log_in(os.environ["FUZZ_LEAVER"]) if ends else data
            case.headers["Authorization"] = f"Bearer {token}"


schemathesis.auth(refresh_interval=None)(Login)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Replace two thirds of the random ids by the role's own order or cart. Values that are no UUIDs stay invalid."""
    for name, variable in (("order_id", "FUZZ_ORDER"), ("cart_id", "FUZZ_CART")):
        with suppress(KeyError, TypeError, ValueError):
            if UUID(path_parameters[name]).int % 3:
                path_parameters[name] = os.environ[variable]
    return path_parameters


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Replace half of the random SKUs by existing ones, because the catalogue refuses random SKUs."""
    lines = body.get("lines") if isinstance(body, dict) else None
    for index, line in enumerate(lines if isinstance(lines, list) else []):
        if isinstance(line, dict) and isinstance(line.get("sku"), str) and index < len(SKUS) and len(line["sku"]) % 2:
            line["sku"] = SKUS[index]
    return body
