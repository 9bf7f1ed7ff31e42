"""Forms for log-in and registration, with the same rules as the API."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from shop.accounts.registration import LONGEST_EMAIL, LONGEST_PASSWORD, EmailTaken, register_account


class LogInForm(forms.Form):
    """E-mail and password."""

    email = forms.EmailField(
        label="E-mail",
        max_length=LONGEST_EMAIL,
        widget=forms.EmailInput({"autocomplete": "username", "inputmode": "email"}),
    )
    password = forms.CharField(
        label="Password",
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.error_messages["required"] = f"{field.label} is missing."

    def flag_errors(self) -> None:
        """Mark the invalid fields for assistive technology."""
        for name in self.fields.keys() & self.errors.keys():
            self.fields[name].widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"error-{name}"}


class RegistrationForm(LogInForm):
    """E-mail and password of a new account."""

    password = forms.CharField(
        label="Password",
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text="At least ten characters. Several words are a good choice.",
    )

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
