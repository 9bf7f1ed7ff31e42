"""Every error below /api/ is a problem (RFC 9457)."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
ORDER = "/api/v1/orders/01976f2e-0000-7000-8000-000000000001/"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/", 404),
        ("GET", "/api/v1/", 404),
        ("GET", "/api/v1/nothing/", 404),
        ("GET", "/api/v2/orders/", 404),
        ("GET", "/api/v1/orders/not-an-id/", 404),
        ("GET", "/api/v1/orders/%00/", 404),
        ("GET", ORDER, 404),
        ("GET", "/api/v1/products/NONE/", 404),
        ("GET", "/api/v1/orders/", 401),
        ("GET", ORDER + "timeline/", 404),
        ("GET", ORDER + "messages/", 404),
        ("POST", ORDER + "timeline/", 405),
        ("PUT", "/api/v1/orders/", 405),
        ("DELETE", ORDER, 405),
        ("PATCH", ORDER, 405),
        ("POST", ORDER, 405),
        ("POST", "/api/v1/products/", 405),
    ],
)
def test_an_error_is_a_problem(client: Client, method: str, path: str, status: int) -> None:
    answer = client.generic(method, path, b"{}", content_type="application/json")
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert status != 405 or "Allow" in answer


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/xml"}, b"<order/>", 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=1", 415),
        ({"Content-Type": "nonsense"}, b"{}", 415),
        ({"Content-Type": "application/json"}, b"{", 400),
        ({"Content-Type": "application/json"}, b"\xff", 400),
        ({"Content-Type": "application/json"}, b"[]", 400),
        ({"Content-Type": "application/json"}, b"[" * 60000, 400),
        ({"Content-Type": "application/json"}, b'"' + b"x" * 65536 + b'"', 413),
        ({"Content-Type": "application/json", "Accept": "text/html"}, b"{}", 406),
        ({"Content-Type": "application/json", "Authorization": "Bearer wrong"}, b"{}", 401),
        ({"Content-Type": "application/json", "Host": "bad_host:x"}, b"{}", 400),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/orders/", "/api/v1/tokens/", "/api/v1/accounts/"])
def test_a_malformed_request_gets_a_problem(
    client: Client, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    kind, others = headers["Content-Type"], {name: value for name, value in headers.items() if name != "Content-Type"}
    answer = client.generic("POST", path, body, content_type=kind, headers={"Idempotency-Key": "k", **others})
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_an_unhandled_exception_is_a_problem_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.raise_request_exception = False

    def fail(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("orders.api.history.may_read_order", fail)
    answer = client.get(ORDER)
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert "secret" not in answer.content.decode()


def test_outside_the_api_an_error_is_an_html_page(client: Client) -> None:
    answer = client.get("/nothing/here/")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
