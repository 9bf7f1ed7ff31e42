"""The change of a password by its owner, in the storefront and in the REST API."""

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest


class WrongPassword(Exception):
    """The current password is wrong."""


def change_password(request: HttpRequest, user: User, *, current: str, new: str) -> None:
    """Set the password of `user` to `new`. A trigger of the database ends all log-ins of the account.

    A wrong `current` password counts as a failed log-in, so guesses have the same growing waits.

    :raises TooManyLogIns: the wait after failed attempts is not over.
    :raises WrongPassword: `current` is not the password of `user`.
    :raises ValidationError: `new` is too weak; the error lists each reason.
    """
    if authenticate(request, username=user.get_username(), password=current) != user:
        raise WrongPassword("The current password is wrong.")
    validate_password(new, user)
    user.set_password(new)
    user.save(update_fields=["password"])
