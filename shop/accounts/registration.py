"""Registration of accounts. The user name of a customer is the lower-case e-mail address; staff names contain no @."""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

LONGEST_EMAIL = 150  # length of Django's column for the user name
LONGEST_PASSWORD = 128  # limits the time to hash a password


class EmailTaken(Exception):
    """An account with this e-mail address already exists."""


def normalize_email(email: str) -> str:
    """Return the user name for `email`, in lower case so that capitals do not create a second account."""
    return User.normalize_username(email.strip()).lower()


def register_account(*, email: str, password: str) -> User:
    """Create an account and return its user.

    Orders that were placed as a guest are not added, because the registration does not prove who owns the address.

    :raises EmailTaken: the address already has an account.
    :raises ValidationError: the password is too weak; the error lists each reason.
    """
    name = normalize_email(email)
    user = User(username=name, email=name)
    validate_password(password, user)
    user.set_password(password)
    # Ignore conflicts, because a constraint violation would write the address to PostgreSQL's log.
    User.objects.bulk_create([user], ignore_conflicts=True)
    stored = User.objects.get(username=name)
    if stored.password != user.password:
        raise EmailTaken("An account with this e-mail address already exists: log in instead.")
    return stored


def explain_password(error: ValidationError) -> list[str]:
    """Return the reasons for which a password was refused, one sentence each."""
    messages: list[Any] = error.messages
    return [str(message) for message in messages]
