"""An account, and helpers to use the API with it."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from shop.accounts.registration import register_account
from tests.orders.conftest import make_body, products  # noqa: F401 - fixtures

PASSWORD = "difference-engine-1843"
RegisterAs = Callable[..., User]


def make_email(name: str = "ada") -> str:
    """Return a unique e-mail address."""
    return f"{name}-{uuid4().hex[:8]}@example.org"


def post(client: Client, path: str, body: Any, **headers: str) -> Any:
    """Send a POST with a JSON body to the API."""
    return client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def log_in(client: Client, user: User) -> dict[str, str]:
    """Log `user` in through the API, and return the `Authorization` header."""
    answer = post(client, "tokens/", {"email": user.email, "password": PASSWORD})
    assert answer.status_code == 201, answer.content
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.fixture
def ada(db: None) -> User:
    return register_account(email=make_email(), password=PASSWORD)
