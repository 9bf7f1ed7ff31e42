"""The form of a new replay: a consumer, and a span of times or positions."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from relay.operations import Refused
from relay.operations.stretches import Stretch, find_stretch
from shop.control.topology import list_names

LONGEST = 2**63 - 1


class SpanForm(forms.Form):
    """A consumer and its span: since a time or a position, until a time, a position, or the newest event."""

    consumer = forms.ChoiceField()
    since = forms.DateTimeField(
        required=False,
        label="Since (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        error_messages={"invalid": "Enter a time, for example 2026-11-22T08:00."},
    )
    until = forms.DateTimeField(
        required=False,
        label="Until (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        error_messages={"invalid": "Enter a time, for example 2026-11-22T09:00."},
    )
    first = forms.IntegerField(required=False, min_value=1, max_value=LONGEST, label="From position")
    last = forms.IntegerField(required=False, min_value=1, max_value=LONGEST, label="To position")

    stretch: Stretch
    span: str

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        consumer = self.fields["consumer"]
        assert isinstance(consumer, forms.ChoiceField)
        consumer.choices = [(name, name) for name in list_names()]
        consumer.error_messages["invalid_choice"] = "There is no consumer %(value)s."

    def clean(self) -> dict[str, Any]:
        """Find the stretch of positions.

        :raises ValidationError: the span has two beginnings, none, lies in the future, or is empty.
        """
        values = self.cleaned_data
        since, until, first, last = (values.get(name) for name in ("since", "until", "first", "last"))
        if self.errors:
            return values
        start = first if since is None else since
        if start is None or None not in (since, first):
            raise forms.ValidationError("Enter the beginning as a time or as a position, not as both.")
        if until is not None and last is not None:
            raise forms.ValidationError("Enter the end as a time or as a position, not as both.")
        now = timezone.now()
        if since and since > now:
            raise forms.ValidationError(f"The span begins at {since:%Y-%m-%d %H:%M} UTC, which is in the future.")
        try:
            self.stretch = find_stretch(start, until or last)
        except Refused as refusal:
            raise forms.ValidationError(f"{str(refusal)[0].upper()}{str(refusal)[1:]}.") from refusal
        self.span = f"{_describe(since, first)} to {_describe(until, last) or 'the newest event'}"
        return values


def _describe(moment: datetime | None, position: int | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else f"position {position:,}" if position else ""
