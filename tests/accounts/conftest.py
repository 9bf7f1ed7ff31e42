"""Somebody with an account, and a program that is logged in to it."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from shop.accounts.registration import register_account
from tests.orders.conftest import make_body, products  # noqa: F401 - a catalogue and orders for these tests, too

PASSWORD = "difference-engine-1843"
RegisterAs = Callable[..., User]


def make_email(name: str = "ada") -> str:
    """An address that no other test guesses at."""
    return f"{name}-{uuid4().hex[:8]}@example.org"


def post(client: Client, path: str, body: Any, **headers: str) -> Any:
    """POST JSON to the API."""
    return client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def log_in(client: Client, user: User) -> dict[str, str]:
    """Log in by the API and return the header that shows it."""
    answer = post(client, "tokens/", {"email": user.email, "password": PASSWORD})
    assert answer.status_code == 201, answer.content
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.fixture
def ada(db: None) -> User:
    return register_account(email=make_email(), password=PASSWORD)
