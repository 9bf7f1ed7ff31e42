"""Log-ins that can be revoked: each API token and each browser session is a row of knox.

The database contains only the SHA-512 hash of a token. A browser's signed cookie contains the hash as well, but the API
does not accept the hash. A trigger deletes all rows of an account whose password changes.
"""

from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.base import SessionBase
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
    """Log `user` in, and return the row and the token. Delete all log-ins except the newest MOST_LOG_INS."""
    older = AuthToken.objects.filter(user=user).order_by("-created").values_list("pk", flat=True)
    AuthToken.objects.filter(pk__in=list(older[MOST_LOG_INS - 1 :])).delete()
    row, token = AuthToken.objects.create(user)
    return row, token


def begin_session(request: HttpRequest, user: User) -> None:
    """Log `user` in on this browser."""
    auth.login(request, user)
    request.session[_SESSION_KEY] = issue_token(user)[0].pk


def end_session(request: HttpRequest) -> None:
    """Log out on this browser. Copies of the cookie become invalid."""
    AuthToken.objects.filter(pk=request.session.get(_SESSION_KEY, "")).delete()
    auth.logout(request)


def open_session(request: HttpRequest) -> SessionBase:
    """Return the visitor's session. If its log-in has ended, the session is empty: its cookie may be a copy."""
    bool(request.user.is_authenticated)  # reading the user checks the log-in
    return request.session


def end_all(user: User) -> None:
    """Log `user` out on all browsers and API clients."""
    AuthToken.objects.filter(user=user).delete()


def delete_expired() -> int:
    """Delete the expired log-ins, and return their number."""
    deleted: int = AuthToken.objects.filter(expiry__lte=timezone.now()).delete()[0]
    return deleted


class RevocableSessions(AuthenticationMiddleware):
    """Django's authentication middleware, which empties a session whose log-in was revoked or has expired.

    The whole session is emptied, because a signed cookie can be copied: it may also contain orders and a cart.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Set `request.user` to a lazy object, which reads the database at its first use."""
        super().process_request(request)
        user = request.user

        def find_user() -> User | AnonymousUser:
            log_in = request.session.get(_SESSION_KEY)
            if not log_in:
                return user
            rows = AuthToken.objects.filter(pk=log_in, expiry__gt=timezone.now())
            if user.is_authenticated and rows.filter(user=user).exists():
                return user
            request.session.flush()
            return AnonymousUser()

        request.user = SimpleLazyObject(find_user)  # type: ignore[assignment]


class BearerToken(TokenAuthentication):  # type: ignore[misc]
    """Authentication by ``Authorization: Bearer TOKEN``. One query finds the token by its hash."""

    def authenticate(self, request: Request) -> tuple[User, AuthToken] | None:
        """Return the token's user and row, or None without an ``Authorization`` header.

        :raises AuthenticationFailed: the header contains no valid token.
        """
        # Without this check, knox spends 3 us of each request on the missing header.
        return super().authenticate(request) if "HTTP_AUTHORIZATION" in request.META else None

    def authenticate_credentials(self, token: bytes) -> tuple[User, AuthToken]:
        """Return the token's user and row.

        :raises AuthenticationFailed: the token is unknown, expired or logged out.
        """
        rows = AuthToken.objects.select_related("user").filter(user__is_active=True, expiry__gt=timezone.now())
        row = rows.filter(pk=hash_token(token.decode("latin-1"))).first()
        if row is None:
            raise AuthenticationFailed("This token is unknown, expired or logged out.")
        return row.user, row
