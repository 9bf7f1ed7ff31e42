"""Pages of the API's lists: by cursor, so that a page stays in place while things come and go."""

from typing import Any

from django.core.exceptions import ValidationError as Unreadable
from django.db import DataError
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

MAX_PAGE_SIZE = 100
_FOREIGN = {"cursor": ["This is not a cursor of this list."]}


class CursorPages(CursorPagination):
    """Twenty to a page, or what `?page_size=` says. A list sets `ordering`."""

    page_size = 20
    max_page_size = MAX_PAGE_SIZE
    page_size_query_param = "page_size"

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Read `?cursor=`.

        :raises ValidationError: it was not made by this API.
        """
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise ValidationError(_FOREIGN) from error
        if cursor and "\0" in str(cursor.position):
            raise ValidationError(_FOREIGN)
        return cursor

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """Read the page that the cursor stands at.

        :raises ValidationError: the cursor is another list's.
        """
        try:
            return super().paginate_queryset(queryset, request, view)
        except (Unreadable, DataError, ValueError) as error:
            raise ValidationError(_FOREIGN) from error
