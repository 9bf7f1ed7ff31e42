"""Authentication by name and password for customers and staff, with a growing wait after each failed attempt.

A wait applies to one account and one client address. Guesses from another address never make the owner wait.
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
    """Too many failed attempts from this address for this account. The next attempt is allowed after `wait` seconds."""

    default_detail = "Too many attempts to log in."


class WaitingBackend(ModelBackend):
    """Django's model backend, with the waits before its check."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **others: Any
    ) -> User | None:
        """Return the user, or None if the name or the password is wrong.

        :raises TooManyLogIns: the wait is not over. The password is not checked.
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
    """Return a hash of `name`, so that Valkey contains no e-mail addresses."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
