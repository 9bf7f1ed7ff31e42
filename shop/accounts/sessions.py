"""Log-ins that can be ended: each is a row of knox, a token of the API as well as a browser's session.

The token itself is stored nowhere, only its SHA-512. A browser's cookie carries that hash, signed: it opens no API.
"""

from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

MOST_LOG_INS = 20
_SESSION_KEY = "log-in"


def issue_token(user: User) -> tuple[AuthToken, str]:
    """Log `user` in: return the row and the token, which is told once. Only the newest MOST_LOG_INS stay."""
    older = AuthToken.objects.filter(user=user).order_by("-created").values_list("pk", flat=True)
    AuthToken.objects.filter(pk__in=list(older[MOST_LOG_INS - 1 :])).delete()
    row, token = AuthToken.objects.create(user)
    return row, token


def begin_session(request: HttpRequest, user: User) -> None:
    """Log `user` in on this browser."""
    auth.login(request, user)
    request.session[_SESSION_KEY] = issue_token(user)[0].pk


def end_session(request: HttpRequest) -> None:
    """Log out here: a copy of the cookie is worth nothing afterwards."""
    AuthToken.objects.filter(pk=request.session.get(_SESSION_KEY, "")).delete()
    auth.logout(request)


def end_all(user: User) -> None:
    """Log `user` out everywhere, programs and browsers."""
    AuthToken.objects.filter(user=user).delete()


def delete_expired() -> int:
    """Delete the log-ins that have run out, and return how many there were."""
    deleted: int = AuthToken.objects.filter(expiry__lte=timezone.now()).delete()[0]
    return deleted


class RevocableSessions(AuthenticationMiddleware):
    """Django's middleware, with nobody logged in whose log-in has been ended or has run out."""

    def process_request(self, request: HttpRequest) -> None:
        """Set `request.user`, which is looked up when it is asked for."""
        super().process_request(request)
        user = request.user

        def find_user() -> User | AnonymousUser:
            log_in = request.session.get(_SESSION_KEY)
            if not log_in or not user.is_authenticated:
                return user
            holds = AuthToken.objects.filter(pk=log_in, user=user, expiry__gt=timezone.now()).exists()
            return user if holds else AnonymousUser()

        request.user = SimpleLazyObject(find_user)  # type: ignore[assignment]


class BearerToken(TokenAuthentication):  # type: ignore[misc]
    """``Authorization: Bearer TOKEN``, found by its hash in one query."""

    def authenticate(self, request: Request) -> tuple[User, AuthToken] | None:
        """Return the token's user and row, None without an ``Authorization`` header.

        :raises AuthenticationFailed: the header holds no valid token.
        """
        # knox encodes, splits and compares an absent header, too: 3 us of each request.
        return super().authenticate(request) if "HTTP_AUTHORIZATION" in request.META else None

    def authenticate_credentials(self, token: bytes) -> tuple[User, AuthToken]:
        """Return the token's user and row.

        :raises AuthenticationFailed: there is no such token, or it has run out.
        """
        rows = AuthToken.objects.select_related("user").filter(user__is_active=True, expiry__gt=timezone.now())
        row = rows.filter(pk=hash_token(token.decode("latin-1"))).first()
        if row is None:
            raise AuthenticationFailed("This token is unknown, has run out, or was logged out.")
        return row.user, row
