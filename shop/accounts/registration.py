"""Who has an account: Django's user, whose name is the e-mail address in small letters. Staff have names without @."""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

LONGEST_EMAIL = 150  # Django's column for a user's name
LONGEST_PASSWORD = 128  # hashing takes as long as the password is


class EmailTaken(Exception):
    """There is an account of this e-mail address already."""


def normalize_email(email: str) -> str:
    """Return the name that an address logs in under: capitals make no second account."""
    return User.normalize_username(email.strip()).lower()


def register_account(*, email: str, password: str) -> User:
    """Make an account. Orders that were placed as a guest stay a guest's: nobody has proved whose the address is.

    :raises EmailTaken: the address has an account.
    :raises ValidationError: the password is too easy to guess, with each reason.
    """
    name = normalize_email(email)
    user = User(username=name, email=name)
    validate_password(password, user)
    user.set_password(password)
    # A violated constraint would put the address into PostgreSQL's log.
    User.objects.bulk_create([user], ignore_conflicts=True)
    stored = User.objects.get(username=name)
    if stored.password != user.password:
        raise EmailTaken("There is an account with this e-mail address: log in instead.")
    return stored


def explain_password(error: ValidationError) -> list[str]:
    """What is wrong with a password, a sentence each."""
    messages: list[Any] = error.messages
    return [str(message) for message in messages]
