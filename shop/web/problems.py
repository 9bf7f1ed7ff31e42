"""Errors of the API as application/problem+json (RFC 9457), with the name of each invalid field."""

from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import JsonResponse
from rest_framework import serializers
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler


class ProblemError(serializers.Serializer[Any]):
    """One invalid field."""

    field = serializers.CharField(help_text="For example lines[0].sku.")
    message = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """An error as application/problem+json (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = ProblemError(many=True, required=False)  # type: ignore[assignment]


def problem(status: int, detail: str, errors: list[dict[str, str]] | None = None) -> JsonResponse:
    """Return a problem+json response. `errors` contains ``{"field", "message"}`` for each invalid field."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return JsonResponse(body, status=status, content_type="application/problem+json")


def problem_response(error: Exception, context: dict[str, Any]) -> JsonResponse | Response | None:
    """Return the problem+json response for an exception of a view (DRF's EXCEPTION_HANDLER), or None."""
    if isinstance(error, OperationalError | InterfaceError):
        return None  # the middleware returns 503
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, ValidationError):
        errors = list(flatten_errors(error.detail))
        answer = problem(response.status_code, "; ".join(f"{e['field']}: {e['message']}" for e in errors), errors)
    else:
        detail = str(error.detail) if isinstance(error, APIException) else HTTPStatus(response.status_code).phrase
        errors = [{"field": "body", "message": detail}] if isinstance(error, ParseError) else []
        answer = problem(response.status_code, detail, errors)
    for name, value in response.headers.items():
        if name.lower() not in ("content-type", "content-length"):
            answer[name] = value
    return answer


def flatten_errors(detail: Any, path: str = "") -> Any:
    """Yield ``{"field", "message"}`` for each leaf of DRF's error tree, with paths such as ``lines[0].sku``."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            if name == "non_field_errors":
                yield from flatten_errors(inner, path)
            elif isinstance(name, int):
                yield from flatten_errors(inner, f"{path}[{name}]")
            else:
                yield from flatten_errors(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from flatten_errors(inner, f"{path}[{index}]" if nested else path)
    else:
        yield {"field": path or "body", "message": str(detail)}
