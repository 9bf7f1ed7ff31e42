"""Accounts in the REST API: registration, log-in and log-out."""

from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError as Unfit
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop.accounts.password_change import WrongPassword, change_password
from shop.accounts.registration import (
    LONGEST_EMAIL,
    LONGEST_PASSWORD,
    EmailTaken,
    explain_password,
    register_account,
)
from shop.accounts.sessions import end_all, issue_token
from shop.web.problems import Problem
from shop.web.strict import StrictSerializer

_TOKEN_EXAMPLE = {
    "token": "9b6f2c0d8e4a41f6b7c35d90e1a2f8c4d6b8a0917263544f5e6d7c8b9a0f1e2d",
    "expires_at": "2026-12-06T10:30:00Z",
    "email": "ada@example.org",
}
_CREDENTIALS = OpenApiExample(
    "An account", {"email": "ada@example.org", "password": "difference-engine-1843"}, request_only=True
)
_PASSWORDS = OpenApiExample(
    "A new password",
    {"current": "difference-engine-1843", "new": "analytical-engine-1837"},
    request_only=True,
)
_TOKEN = OpenApiExample("A token", _TOKEN_EXAMPLE, response_only=True, status_codes=["200", "201"])
_LOGGED_OUT = OpenApiResponse(Problem, "The token is missing, unknown, expired or logged out.")


class Credentials(StrictSerializer):
    """E-mail address and password."""

    email = serializers.EmailField(max_length=LONGEST_EMAIL)
    password = serializers.CharField(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)


class Passwords(StrictSerializer):
    """The current password and the new one."""

    current = serializers.CharField(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)
    new = serializers.CharField(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)


class LogIn(serializers.Serializer[Any]):
    """A new token. The shop stores only its hash, so the token can't be shown again."""

    token = serializers.CharField(help_text="Send it as `Authorization: Bearer TOKEN`.")
    expires_at = serializers.DateTimeField()
    email = serializers.EmailField()


class Account(serializers.Serializer[Any]):
    """The account that is logged in."""

    email = serializers.EmailField()
    registered_at = serializers.DateTimeField()


def describe_log_in(user: User) -> dict[str, Any]:
    """Log `user` in and return the new token with its expiry, as JSON-like data."""
    row, token = issue_token(user)
    return dict(LogIn({"token": token, "expires_at": row.expiry, "email": user.email}).data)


@method_decorator(never_cache, name="dispatch")
class AccountList(APIView):
    """All accounts; a POST registers one."""

    permission_classes = [AllowAny]
    limited_as = {"POST": "register"}

    @extend_schema(
        operation_id="register",
        summary="Register an account",
        request=Credentials,
        examples=[_CREDENTIALS, _TOKEN],
        responses={
            201: LogIn,
            400: OpenApiResponse(
                Problem, "A field is invalid, the address already has an account, or the password is weak."
            ),
        },
        auth=[],
    )
    @method_decorator(sensitive_variables())
    def post(self, request: Request) -> Response:
        """Register an account and log it in. Orders that were placed as a guest are not added to the account."""
        body = Credentials(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            user = register_account(**body.validated_data)
        except EmailTaken as error:
            raise serializers.ValidationError({"email": [str(error)]}) from None
        except Unfit as error:
            raise serializers.ValidationError({"password": explain_password(error)}) from None
        return Response(describe_log_in(user), status=status.HTTP_201_CREATED)


@method_decorator(never_cache, name="dispatch")
class OwnAccount(APIView):
    """The account of the request's user."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        operation_id="read_account",
        summary="Read the account",
        examples=[
            OpenApiExample("Ada", {"email": "ada@example.org", "registered_at": "2026-11-22T10:30:00Z"}),
        ],
        responses={200: Account, 401: _LOGGED_OUT},
    )
    def get(self, request: Request) -> Response:
        """Return the account that is logged in."""
        assert isinstance(request.user, User)
        return Response(Account({"email": request.user.email, "registered_at": request.user.date_joined}).data)


@method_decorator(never_cache, name="dispatch")
class OwnPassword(APIView):
    """The password of the request's user."""

    permission_classes = [IsAuthenticated]
    limited_as = {"PUT": "log-in"}

    @extend_schema(
        operation_id="change_password",
        summary="Change the password",
        request=Passwords,
        examples=[_PASSWORDS, _TOKEN],
        responses={
            200: LogIn,
            400: OpenApiResponse(Problem, "The current password is wrong, or the new password is weak."),
            401: _LOGGED_OUT,
            429: OpenApiResponse(Problem, "Too many wrong passwords from this address: wait `Retry-After` seconds."),
        },
    )
    @method_decorator(sensitive_variables())
    def put(self, request: Request) -> Response:
        """Change the password. All tokens and browser sessions of the account end; the answer contains a new token."""
        assert isinstance(request.user, User)
        body = Passwords(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            change_password(request._request, request.user, **body.validated_data)
        except WrongPassword as error:
            raise serializers.ValidationError({"current": [str(error)]}) from None
        except Unfit as error:
            raise serializers.ValidationError({"new": explain_password(error)}) from None
        return Response(describe_log_in(request.user))


@method_decorator(never_cache, name="dispatch")
class TokenList(APIView):
    """The tokens of an account. Each token is one log-in."""

    limited_as = {"POST": "log-in"}

    def get_permissions(self) -> list[BasePermission]:
        """Return the permissions: a log-in is open to all, a log-out requires a token."""
        return [IsAuthenticated()] if self.request.method == "DELETE" else [AllowAny()]

    @extend_schema(
        operation_id="log_in",
        summary="Log in",
        request=Credentials,
        examples=[_CREDENTIALS, _TOKEN],
        responses={
            201: LogIn,
            400: OpenApiResponse(Problem, "A field is invalid, or the e-mail address or the password is wrong."),
            429: OpenApiResponse(Problem, "Too many failed log-ins from this address: wait `Retry-After` seconds."),
        },
        auth=[],
    )
    @method_decorator(sensitive_variables())
    def post(self, request: Request) -> Response:
        """Log in. A token expires after two weeks. An account has at most 20 tokens; a new one replaces the oldest."""
        body = Credentials(data=request.data)
        body.is_valid(raise_exception=True)
        email, password = body.validated_data["email"], body.validated_data["password"]
        user = authenticate(request._request, username=email, password=password)
        if not isinstance(user, User):
            raise serializers.ValidationError("The e-mail address or the password is wrong.")
        return Response(describe_log_in(user), status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="log_out_everywhere",
        summary="Log out everywhere",
        request=None,
        responses={204: None, 401: _LOGGED_OUT},
    )
    def delete(self, request: Request) -> Response:
        """End all log-ins of the account, on all browsers and API clients."""
        assert isinstance(request.user, User)
        end_all(request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


@method_decorator(never_cache, name="dispatch")
class CurrentToken(APIView):
    """The token of the request."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        operation_id="log_out",
        summary="Log out",
        request=None,
        responses={204: None, 401: _LOGGED_OUT},
    )
    def delete(self, request: Request) -> Response:
        """End the log-in of this request's token."""
        assert isinstance(request.auth, AuthToken)
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
