"""The one way in for everybody: name and password, with growing waits for whoever guesses.

Waits belong to an account *and* an address. A stranger who guesses makes only himself wait, never the owner.
"""

import hashlib
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from shop.accounts.registration import normalize_email
from shop.web import limits


class TooManyLogIns(Throttled):
    """This address has guessed at this account too often; `wait` seconds are to pass before it may try again."""

    default_detail = "Too many attempts to log in."


class WaitingBackend(ModelBackend):
    """Django's own check behind the waits."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **others: Any
    ) -> User | None:
        """Return the user, or None.

        :raises TooManyLogIns: it is too early. The password was not looked at.
        """
        if not username or password is None:
            return None
        name = normalize_email(username)
        ticket = f"log-in:{hide(name)}:{limits.read_address(request) if request else 'nowhere'}"
        if wait := limits.attempt(ticket):
            raise TooManyLogIns(wait)
        user = super().authenticate(request, name if "@" in name else username, password)
        if user is not None:
            limits.forget(ticket)
        return user if isinstance(user, User) else None


def hide(name: str) -> str:
    """A name for counting that tells nobody's address to whoever reads Valkey."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
