"""Numbers of forms: a form that moves stock or money has a random number, and changes each row at most once.

The audit stores the number in the transaction of the change. A unique constraint refuses the second change, also if
both requests arrive at the same time.
"""

from uuid import UUID

from django import forms
from django.http import HttpRequest
from uuid_utils.compat import uuid7

from shop.audit.models import StaffAction

#: The name of the form's hidden field.
NUMBER = "form_number"


class FormSentTwice(Exception):
    """A form with this number has already changed this row. The message names the time and the person."""


class NumberField(forms.UUIDField):
    """A hidden field with the number of the form. Each new form gets a new number."""

    def __init__(self) -> None:
        super().__init__(initial=make_number, widget=forms.HiddenInput)
        self.error_messages["required"] = self.error_messages["invalid"] = "The form has no number: open it again."


def make_number() -> UUID:
    """Return the number of a new form."""
    return uuid7()


def read_number(request: HttpRequest) -> UUID | None:
    """Return the number of the sent form, or None if the request contains no valid number."""
    try:
        return UUID(request.POST.get(NUMBER, ""))
    except ValueError:
        return None


def check_number(form: UUID | None, subject: str) -> None:
    """Check that the form with this number has not changed the row `subject` yet.

    :raises FormSentTwice: the audit contains the change.
    """
    done = StaffAction.objects.filter(form=form, subject=subject).first() if form else None
    if done is not None:
        raise FormSentTwice(
            f"This form was already sent: {done.actor} did {done.action} {subject} at {done.at:%H:%M:%S} UTC."
            " Nothing was changed again; open the form again for another change"
        )
