"""Authentication by name and password for customers and staff, with a growing wait after each failed attempt.

A wait applies to one account and one client address. Guesses from another address never make the owner wait.
"""

import hashlib
import logging
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled

from shop.accounts.registration import normalize_email
from shop.web import limits

logger = logging.getLogger(__name__)


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
        address = limits.read_address(request) if request else "nowhere"
        ticket = f"log-in:{hide(name)}:{address}"
        caller = {"name_hash": hide(name), "network": salted_hmac(__name__, address).hexdigest()[:12]}
        if wait := limits.attempt(ticket):
            logger.warning("log-in refused: too many attempts", extra=caller)
            raise TooManyLogIns(wait)
        user = super().authenticate(request, name if "@" in name else username, password)
        if not isinstance(user, User):
            logger.warning("log-in failed: wrong name or password", extra=caller)
            return None
        limits.forget(ticket)
        logger.info("logged in", extra={"user": user.pk, **caller})
        return user


def hide(name: str) -> str:
    """Return a hash of `name`, so that Valkey and logs contain no e-mail addresses."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
