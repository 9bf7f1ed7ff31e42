"""How a JSON body is read: whatever stands in it is either understood or refused, never half of it."""

import json
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant


class StrictJSONParser(JSONParser):
    """JSON in UTF-8, as RFC 8259 wants it between systems, without a name that stands twice in one object."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Read the body.

        :raises ParseError: it is not such JSON.
        """
        try:
            return json.loads(
                stream.read().decode(), object_pairs_hook=refuse_repeated_names, parse_constant=strict_constant
            )
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error


def refuse_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, of whose two equal names one would be lost.

    :raises ValueError: a name stands twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:40]!r} stands twice in one object")
        found[name] = value
    return found
