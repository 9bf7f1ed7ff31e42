"""Who may call a view of the API that does not say so itself: nobody."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class Nobody(BasePermission):
    """Denies everything, so that a view that forgot its permissions is found by its first caller, not by a thief."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Say no."""
        return False
