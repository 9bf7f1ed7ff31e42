"""What the API takes: unknown fields are refused by name, so that a typo never loses what was meant.

A number is not taken for text, nor text for a number: the schema says which it is.
"""

from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that names the fields it does not know, and those that have another type."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate, refusing unknown fields and other types beside what else is wrong."""
        wrong = self.find_faults(data) if isinstance(data, dict) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if wrong and isinstance(error.detail, dict):
                faults = {**error.detail, **wrong}
                order = dict.fromkeys([*self.fields, *faults])  # that of the fields
                raise serializers.ValidationError({name: faults[name] for name in order if name in faults}) from None
            raise
        if wrong:
            raise serializers.ValidationError(wrong)
        return value

    def find_faults(self, data: dict[str, Any]) -> dict[str, list[str]]:
        """Name what is wrong with the object as a whole, to be told beside what else is wrong with its fields."""
        unknown = {str(name): ["Unknown field."] for name in data if name not in self.fields}
        mistyped = {
            name: [str(field.error_messages["invalid"])]
            for name, field in self.fields.items()
            if is_mistyped(field, data.get(name))
        }
        return {**mistyped, **unknown}


def is_mistyped(field: serializers.Field[Any, Any, Any, Any], value: object) -> bool:
    """Tell whether DRF would take a number for text, or text for a number."""
    if isinstance(field, serializers.IntegerField):
        return isinstance(value, str)
    return isinstance(field, serializers.CharField | serializers.UUIDField) and isinstance(value, int | float)
