"""Content negotiation of the REST API, which returns JSON only."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_PLAIN = ("*/*", "application/json")


class JsonNegotiation(DefaultContentNegotiation):
    """DRF's negotiation, without parsing the header for the two usual values of `Accept`."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        """Return the renderer and its media type.

        :raises NotAcceptable: the client does not accept JSON.
        """
        headers = request.META
        if headers.get("HTTP_ACCEPT", "*/*") in _PLAIN and not headers.get("QUERY_STRING"):
            first = next(iter(renderers))
            return first, first.media_type
        return super().select_renderer(request, renderers, format_suffix)
