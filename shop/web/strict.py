"""Strict validation of the API's input: unknown fields are errors, so that a misspelled field is never ignored.

Numbers in place of texts, and texts in place of numbers, are errors, too.
"""

from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that reports unknown fields and fields of a wrong type."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated value.

        :raises ValidationError: lists unknown fields and wrong types together with DRF's own errors.
        """
        wrong = self.find_faults(data) if isinstance(data, dict) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if wrong and isinstance(error.detail, dict):
                faults = {**error.detail, **wrong}
                order = dict.fromkeys([*self.fields, *faults])  # in the order of the fields
                raise serializers.ValidationError({name: faults[name] for name in order if name in faults}) from None
            raise
        if wrong:
            raise serializers.ValidationError(wrong)
        return value

    def find_faults(self, data: dict[str, Any]) -> dict[str, list[str]]:
        """Return the errors for unknown fields and wrong types, by field."""
        unknown = {str(name): ["Unknown field."] for name in data if name not in self.fields}
        mistyped = {
            name: [str(field.error_messages["invalid"])]
            for name, field in self.fields.items()
            if is_mistyped(field, data.get(name))
        }
        return {**mistyped, **unknown}


def is_mistyped(field: serializers.Field[Any, Any, Any, Any], value: object) -> bool:
    """Return whether DRF would accept a text for a number field, or a number for a text field."""
    if isinstance(field, serializers.IntegerField):
        return isinstance(value, str)
    return isinstance(field, serializers.CharField | serializers.UUIDField) and isinstance(value, int | float)
