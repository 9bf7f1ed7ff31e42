"""What stands before every view: limits of size and rate, the content security policy, cookies for pages alone, and an
honest 503 while PostgreSQL is away.
"""

import logging
from collections.abc import Awaitable, Callable

from csp.constants import HEADER, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.utils import build_policy
from django.conf import settings
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from rest_framework.exceptions import Throttled

from shop.accounts.sessions import RevocableSessions
from shop.web.problems import problem

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5


class limit_bodies:  # noqa: N801 - middleware reads as a function in settings
    """Refuse a body over DATA_UPLOAD_MAX_MEMORY_SIZE before a byte of it is read, files included: none is ever sent."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        # A webhook's view says the same in its own words.
        if not length.isdecimal() or int(length) <= limit or request.path.startswith("/webhooks/"):
            return self.get_response(request)
        message = f"The body has {length} bytes, the limit is {limit}."
        if request.path.startswith("/api/"):
            return problem(413, message, [{"field": "body", "message": message}])
        return HttpResponse(message, status=413, content_type="text/plain; charset=utf-8")


class tell_to_wait:  # noqa: N801 - middleware reads as a function in settings
    """Answer 429 to whoever asks too often; views of DRF do so themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Turn Throttled into a 429; anything else stays an error."""
        if not isinstance(error, Throttled):
            return None
        response: HttpResponse
        seconds = getattr(error, "wait", None) or 1
        if request.path.startswith("/api/"):
            response = problem(429, str(error.detail))
        else:
            response = render(request, "429.html", {"seconds": seconds}, status=429)
        response["Retry-After"] = str(seconds)
        return response


class send_policy:  # noqa: N801 - middleware reads as a function in settings
    """Send the Content-Security-Policy, which lets the pages below CSP_LOOSENED run their own inline code.

    It depends on nothing else, so it is put into words once; django-csp's own middleware does so for each answer.
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
    """Leaves the REST API alone, which knows no cookies: what a browser sends by itself must not say who is there."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path.startswith("/api/v1/"):
            return self.get_response(request)
        return super().__call__(request)


class SessionsOfPages(_OfPages, SessionMiddleware):
    """Django's `request.session`."""


class LogInsOfPages(_OfPages, RevocableSessions):
    """The shop's `request.user`."""


class MessagesOfPages(_OfPages, MessageMiddleware):
    """Django's messages, shown by the next page."""


class unavailable_when_the_database_is_away:  # noqa: N801 - middleware reads as a function in settings
    """Answer 503 when a view could not reach the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Turn a lost or refused connection into a 503; anything else stays an error."""
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        logger.error("database unavailable", extra={"path": request.path, "error": str(error).strip()})
        return unavailable(request)


def unavailable(request: HttpRequest) -> HttpResponse:
    """The 503 answer: problem+json for the API, a page for people."""
    response: HttpResponse
    if request.path.startswith("/api/"):
        response = problem(503, "The shop cannot reach its database. Send the same request again with the same key.")
    else:
        response = render(request, "503.html", status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
