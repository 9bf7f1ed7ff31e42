"""What the API takes: unknown fields are refused by name, so that a typo never loses what was meant."""

from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that names the fields it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate, refusing unknown fields beside what else is wrong."""
        unknown = (
            {str(name): ["Unknown field."] for name in data if name not in self.fields}
            if isinstance(data, dict)
            else {}
        )
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError({**error.detail, **unknown}) from None
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return value
