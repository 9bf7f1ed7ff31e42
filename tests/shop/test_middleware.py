"""Middleware: body size, lost database, cookies and the Content-Security-Policy."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory

from shop.middleware import limit_bodies, unavailable_when_the_database_is_away


def pass_on(request: object) -> HttpResponse:
    return HttpResponse("seen")


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("/api/v1/orders/", "65536", 200),
        ("/api/v1/orders/", "65537", 413),
        ("/api/v1/orders/", "9" * 40, 413),
        ("/api/v1/orders/", "", 200),
        ("/api/v1/orders/", "nonsense", 200),
        ("/api/v1/orders/", "-1", 200),
        ("/api/v1/orders/", "²", 200),
        ("/checkout/", "65536", 200),
        ("/checkout/", "65537", 413),
    ],
)
def test_bodies_that_are_too_long_are_refused(path: str, length: str, status: int) -> None:
    request = RequestFactory().get(path)
    request.META["CONTENT_LENGTH"] = length
    assert limit_bodies(pass_on)(request).status_code == status


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_lost_database_is_503(error: Exception) -> None:
    middleware = unavailable_when_the_database_is_away(pass_on)
    answer = middleware.process_exception(RequestFactory().get("/api/v1/orders/"), error)
    assert answer is not None
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize("error", [IntegrityError(), DatabaseError(), KeyError()])
def test_any_other_error_stays_an_error(error: Exception) -> None:
    middleware = unavailable_when_the_database_is_away(pass_on)
    request: Any = SimpleNamespace(path="/")
    assert middleware.process_exception(request, error) is None


@pytest.mark.django_db
def test_the_api_ignores_a_browsers_cookie(admin_client: Client) -> None:
    assert admin_client.get("/admin/").status_code == 200
    assert admin_client.get("/api/v1/orders/").status_code == 401


@pytest.mark.django_db
def test_only_the_admin_and_the_documentation_may_run_inline_code(client: Client) -> None:
    strict, loose = (client.get(path)["Content-Security-Policy"] for path in ("/healthz", "/api/docs/"))
    parts = set(loose.split("; ")) - set(strict.split("; "))
    assert parts == {"script-src 'self' 'unsafe-inline' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'"}
    assert {"default-src 'self'", "frame-ancestors 'none'"} <= set(strict.split("; ")) <= set(loose.split("; "))
