"""Middleware: body size, 429 and 503 responses, the Content-Security-Policy, and cookies for the pages only."""

import logging
import math
from collections.abc import Awaitable, Callable
from functools import lru_cache

from csp.constants import HEADER, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.utils import build_policy
from django.conf import settings
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from rest_framework.exceptions import Throttled

from shop.accounts.sessions import RevocableSessions
from shop.web.limits import limit_page
from shop.web.problems import problem
from shop.web.seats import AWAY

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5


class log_refusals:  # noqa: N801 - middleware reads as a function in settings
    """Log each 401, 403 and 429 response with the name of the view, because the URL may contain a token."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code in (401, 403, 429):
            view = request.resolver_match.view_name if request.resolver_match else ""
            user = getattr(request, "user", None)
            about = {"status": response.status_code, "method": request.method, "view": view}
            logger.warning("request refused", extra=about | {"user": getattr(user, "pk", None)})
        return response


class limit_bodies:  # noqa: N801 - middleware reads as a function in settings
    """Return 413 for a body over DATA_UPLOAD_MAX_MEMORY_SIZE bytes without reading it.

    The limit includes files, because no form of the shop uploads files.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        # The webhook views check the size themselves.
        if not length.isdecimal() or int(length) <= limit or request.path.startswith("/webhooks/"):
            return self.get_response(request)
        message = f"The body has {length} bytes, the limit is {limit}."
        if request.path.startswith("/api/"):
            return problem(413, message, [{"field": "body", "message": message}])
        return HttpResponse(message, status=413, content_type="text/plain; charset=utf-8")


class tell_to_wait:  # noqa: N801 - middleware reads as a function in settings
    """Limit the requests for pages, and return 429 to a client that exceeds a limit, here or in a Django view.

    DRF's views count their requests and return 429 themselves. Static files are served before this middleware.
    """

    UNLIMITED = ("/api/", "/healthz", "/metrics", "/webhooks/")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(self.UNLIMITED) and (wait := limit_page(request)):
            return refuse_page(math.ceil(wait))
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return a 429 response for `Throttled`, and None for any other `error`."""
        if not isinstance(error, Throttled):
            return None
        seconds = getattr(error, "wait", None) or 1
        if not request.path.startswith("/api/"):
            return refuse_page(seconds)
        response = problem(429, str(error.detail))
        response["Retry-After"] = str(seconds)
        return response


def refuse_page(seconds: int) -> HttpResponse:
    """Return the 429 page, which says that the visitor has to wait for `seconds`."""
    return HttpResponse(_render_refusal(seconds), status=429, headers={"Retry-After": str(seconds)})


@lru_cache(maxsize=1000)
def _render_refusal(seconds: int) -> bytes:
    # The page is the same for all visitors, so that a refusal costs less than the page that it replaces.
    return render(HttpRequest(), "429.html", {"seconds": seconds}).content


class send_policy:  # noqa: N801 - middleware reads as a function in settings
    """Send the Content-Security-Policy. Pages below CSP_LOOSENED may run inline code.

    Both policies are built once per process; the middleware of django-csp builds the policy for each response.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.policy = build_policy()
        self.loosened = build_policy(
            update={"script-src": [SELF, UNSAFE_INLINE, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in (404, 500)):  # Django's own pages, with inline code
            response[HEADER] = self.loosened if request.path.startswith(settings.CSP_LOOSENED) else self.policy
        return response


class _OfPages(MiddlewareMixin):
    """Middleware for all paths except the REST API.

    The REST API ignores cookies, because a browser sends cookies also with requests from other sites.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path.startswith("/api/v1/"):
            return self.get_response(request)
        return super().__call__(request)


class CheckedHosts(CommonMiddleware):
    """Checks the header `Host`, except for probes: orchestrators and Prometheus call the address of a container."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Return a redirect to the path with a slash if only that exists, else None.

        :raises DisallowedHost: the host is not in ALLOWED_HOSTS.
        """
        return None if request.path in ("/healthz", "/metrics") else super().process_request(request)


class SessionsOfPages(_OfPages, SessionMiddleware):
    """Sets Django's `request.session`."""


class LogInsOfPages(_OfPages, RevocableSessions):
    """Sets the shop's `request.user`."""


class MessagesOfPages(_OfPages, MessageMiddleware):
    """Provides Django's messages, which the next page shows."""


class unavailable_when_the_database_is_away:  # noqa: N801 - middleware reads as a function in settings
    """Return 503 when a view can't reach the database, and without a view while the database does not answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return unavailable(request) if AWAY in request.META else self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return a 503 response for a lost or refused connection, and None for any other `error`."""
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        logger.error("database unavailable", extra={"path": request.path, "error": str(error).strip()})
        return unavailable(request)


def unavailable(request: HttpRequest) -> HttpResponse:
    """Return the 503 response: problem+json for the API, HTML for all other paths."""
    response: HttpResponse
    if request.path.startswith("/api/"):
        response = problem(
            503, "The shop can't reach its database. Send the same request again, with the same Idempotency-Key."
        )
    else:
        response = render(request, "503.html", status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
