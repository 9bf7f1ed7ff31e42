"""Content negotiation of the REST API, which answers in JSON alone."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_PLAIN = ("*/*", "application/json")


class JsonNegotiation(DefaultContentNegotiation):
    """DRF's negotiation, which does not parse the header for the two usual values of `Accept`."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        """Return the first renderer and its media type, or what DRF's negotiation selects.

        :raises NotAcceptable: the client accepts no JSON.
        """
        asked = request.META
        if asked.get("HTTP_ACCEPT", "*/*") in _PLAIN and not asked.get("QUERY_STRING"):
            first = next(iter(renderers))
            return first, first.media_type
        return super().select_renderer(request, renderers, format_suffix)
