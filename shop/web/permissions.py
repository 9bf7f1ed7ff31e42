"""Default permission of the API's views."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class Nobody(BasePermission):
    """Denies all requests, so that a view without declared permissions is never public by mistake."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return False."""
        return False
