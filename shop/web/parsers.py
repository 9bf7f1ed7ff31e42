"""Strict parsing of JSON bodies: the API refuses a body that it would understand only in part."""

import json
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant


class StrictJSONParser(JSONParser):
    """Parser for JSON in UTF-8 (RFC 8259). It refuses an object with a repeated name."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the parsed body.

        :raises ParseError: the body is not JSON in UTF-8, repeats a name, or is nested too deeply.
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
    """Return the object for `pairs`.

    :raises ValueError: a name is repeated, so that one of its values would be lost.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"an object contains the name {name[:40]!r} more than once")
        found[name] = value
    return found
