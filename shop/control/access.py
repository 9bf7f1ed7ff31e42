"""Who may open the control room's pages, and who may act there."""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

LOOK = "relay.view_outbox"
View = Callable[..., HttpResponseBase]


def require_permission(request: HttpRequest, permission: str) -> None:
    """Refuse users without a permission.

    :raises PermissionDenied: the user lacks it; the message names it.
    """
    if not request.user.has_perm(permission):
        raise PermissionDenied(f"The control room needs the permission {permission}.")


def page_for(permission: str) -> Callable[[View], View]:
    """Make a view a page for GET that needs `permission` and is never cached."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **values: object) -> HttpResponseBase:
            require_permission(request, permission)
            return view(request, *args, **values)

        return never_cache(require_safe(login_required(guarded)))

    return decorate


#: Makes a view a page for GET that needs the permission LOOK and is never cached.
viewer_page = page_for(LOOK)


def staff_action(permission: str) -> Callable[[View], View]:
    """Make a view an action for POST that needs LOOK and `permission`, for example relay.change_parkedkey."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **values: object) -> HttpResponseBase:
            require_permission(request, LOOK)
            require_permission(request, permission)
            return view(request, *args, **values)

        return never_cache(require_POST(login_required(guarded)))

    return decorate
