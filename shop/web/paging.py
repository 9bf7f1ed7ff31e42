"""Cursor pagination of the API's lists. New and deleted rows do not shift the following pages."""

from typing import Any

from django.core.exceptions import ValidationError as Unreadable
from django.db import DataError
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

MAX_PAGE_SIZE = 100
_FOREIGN = {"cursor": ["This is not a cursor of this list."]}


class CursorPages(CursorPagination):
    """Pages of 20 rows, or of `?page_size=` rows. Subclasses set `ordering`."""

    page_size = 20
    max_page_size = MAX_PAGE_SIZE
    page_size_query_param = "page_size"

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor in `?cursor=`, or None without one.

        :raises ValidationError: this API did not create the cursor.
        """
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise ValidationError(_FOREIGN) from error
        if cursor and "\0" in str(cursor.position):
            raise ValidationError(_FOREIGN)
        return cursor

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """Return the rows of the cursor's page.

        :raises ValidationError: the cursor belongs to another list.
        """
        try:
            return super().paginate_queryset(queryset, request, view)
        except (Unreadable, DataError, ValueError) as error:
            raise ValidationError(_FOREIGN) from error
