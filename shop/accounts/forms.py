"""Forms for log-in, registration and a new password, with the same rules as the API."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest

from shop.accounts.password_change import WrongPassword, change_password
from shop.accounts.registration import LONGEST_EMAIL, LONGEST_PASSWORD, EmailTaken, register_account


def make_password_field(label: str, autocomplete: str, help_text: str = "") -> forms.CharField:
    """Return a field for a password, which keeps spaces at both ends."""
    widget = forms.PasswordInput({"autocomplete": autocomplete})
    return forms.CharField(label=label, max_length=LONGEST_PASSWORD, strip=False, widget=widget, help_text=help_text)


NEW_PASSWORD_HELP = "At least ten characters. Several words are a good choice."


class AccountForm(forms.Form):
    """A form that names missing fields and marks invalid ones."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.error_messages["required"] = f"{field.label} is missing."

    def flag_errors(self) -> None:
        """Mark the invalid fields for assistive technology."""
        for name in self.fields.keys() & self.errors.keys():
            self.fields[name].widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"error-{name}"}


class LogInForm(AccountForm):
    """E-mail and password."""

    email = forms.EmailField(
        label="E-mail",
        max_length=LONGEST_EMAIL,
        widget=forms.EmailInput({"autocomplete": "username", "inputmode": "email"}),
    )
    password = make_password_field("Password", "current-password")


class RegistrationForm(LogInForm):
    """E-mail and password of a new account."""

    password = make_password_field("Password", "new-password", NEW_PASSWORD_HELP)

    #: The new account, after `register` has returned True.
    user: User

    def register(self) -> bool:
        """Create the account. If that fails, add the errors to the form and return False."""
        try:
            self.user = register_account(**self.cleaned_data)
        except EmailTaken as error:
            self.add_error("email", str(error))
        except forms.ValidationError as error:
            self.add_error("password", error)
        return not self.errors


class PasswordForm(AccountForm):
    """The current password and a new one."""

    current = make_password_field("Current password", "current-password")
    new = make_password_field("New password", "new-password", NEW_PASSWORD_HELP)

    def change(self, request: HttpRequest, user: User) -> bool:
        """Change the password of `user`. If that fails, add the errors to the form and return False.

        :raises TooManyLogIns: the wait after failed attempts is not over.
        """
        try:
            change_password(request, user, **self.cleaned_data)
        except WrongPassword as error:
            self.add_error("current", str(error))
        except forms.ValidationError as error:
            self.add_error("new", error)
        return not self.errors
