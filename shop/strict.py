"""What the API takes: unknown fields are refused by name, so that a typo never loses what was meant."""

from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that names the fields it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate, refusing unknown fields beside what else is wrong."""
        unknown = self.find_faults(data) if isinstance(data, dict) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                faults = {**error.detail, **unknown}
                order = dict.fromkeys([*self.fields, *faults])  # that of the fields
                raise serializers.ValidationError({name: faults[name] for name in order if name in faults}) from None
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def find_faults(self, data: dict[str, Any]) -> dict[str, list[str]]:
        """Name what is wrong with the object as a whole, to be told beside what is wrong with its fields."""
        return {str(name): ["Unknown field."] for name in data if name not in self.fields}
