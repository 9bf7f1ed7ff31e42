"""Mass assignment: API operations refuse fields outside their schema by name, and pages ignore them."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from orders.cart.storage import create_cart
from orders.models import Order
from shop.catalogue.models import Product

pytestmark = pytest.mark.django_db
#: Fields that an attacker would want to set.
SMUGGLED: dict[str, Any] = {
    "id": 1, "pk": 1, "is_staff": True, "is_superuser": True, "is_active": True, "groups": [1], "user": 1,
    "customer": 1, "customer_id": 1, "contact_id": str(uuid4()), "status": "confirmed", "payment": "captured",
    "stock": "reserved", "total": 1, "price": 1, "unit_price": 1, "line_total": 1, "currency": "NOK",
    "deadline_at": "2030-01-01T00:00:00Z", "expiry": "2099-01-01T00:00:00Z", "access_token": "x", "by": "admin:x",
}  # fmt: skip
AS_TEXT = {name: str(value) for name, value in SMUGGLED.items()}


def list_writable() -> list[tuple[str, str, dict[str, Any]]]:
    """Return the method, the path and the body's schema of each operation with a body."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    found = []
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if content:
                found.append((method, path, resolve(content["application/json"]["schema"], schema)))
    return found


def resolve(part: Any, schema: dict[str, Any]) -> Any:
    """Return `part` of `schema` with all references replaced by their targets."""
    if isinstance(part, list):
        return [resolve(item, schema) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return resolve(schema["components"]["schemas"][part["$ref"].rpartition("/")[2]], schema)
    return {name: resolve(item, schema) for name, item in part.items()}


def smuggle(schema: dict[str, Any], path: str = "") -> Iterator[tuple[Any, str]]:
    """Yield a body with the fields SMUGGLED for each level of `schema`, and the path of the level."""
    known = schema.get("properties", {})
    yield {name: value for name, value in SMUGGLED.items() if name not in known}, path
    for name, inner in known.items():
        inner = inner["allOf"][0] if "allOf" in inner else inner
        if inner.get("type") == "object" and "properties" in inner:
            for body, level in smuggle(inner, f"{path}{name}."):
                yield {name: body}, level
        elif inner.get("type") == "array" and "properties" in inner["items"]:
            for body, level in smuggle(inner["items"], f"{path}{name}[0]."):
                yield {name: [body]}, level


WRITABLE = list_writable()


def test_there_are_operations_to_try() -> None:
    assert {"/api/v1/orders/", "/api/v1/accounts/", "/api/v1/tokens/"} <= {path for _, path, _ in WRITABLE}


@pytest.mark.parametrize(("method", "path", "schema"), WRITABLE, ids=[f"{m} {p}" for m, p, _ in WRITABLE])
def test_fields_outside_the_schema_are_refused_by_name(
    method: str, path: str, schema: dict[str, Any], people: dict[str, Client], order: Order
) -> None:
    for body, level in smuggle(schema):
        address = fill_path(path, order)
        answer = people["owner"].generic(
            method.upper(),
            address,
            json.dumps(body).encode(),
            "application/json",
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert answer.status_code == 400, (path, level, answer.content)
        named = {error["field"] for error in answer.json()["errors"]}
        expected = {level + name for name in SMUGGLED if name not in properties_at(schema, level)}
        assert expected <= named, (path, sorted(expected - named))


def fill_path(path: str, order: Order) -> str:
    """Return `path` with the ids of existing objects."""
    path = (
        path.replace("{cart_id}", str(create_cart(order.customer_id)))
        .replace("{order_id}", str(order.pk))
        .replace("{sku}", "MUG")
    )
    assert "{" not in path, f"add the parameter of {path} to fill_path()"
    return path


def properties_at(schema: dict[str, Any], level: str) -> set[str]:
    """Return the names of the schema's properties at a level such as ``lines[0].``."""
    for step in level.rstrip(".").split(".") if level else []:
        schema = schema["properties"][step.removesuffix("[0]")]
        schema = schema["allOf"][0] if "allOf" in schema else schema
        schema = schema["items"] if step.endswith("[0]") else schema
    return set(schema.get("properties", {}))


def test_a_registration_makes_nobody_staff(client: Client) -> None:
    form = {
        "email": "eve@example.org",
        "password": "difference-engine-1843",
        **AS_TEXT,
    }
    assert client.post("/register/", form).status_code == 302
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, list(user.groups.all())) == (False, False, [])


def test_a_checkout_takes_no_price_and_no_customer(client: Client, products: None) -> None:
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2, "price": 1, "unit_price": 1})
    page = client.get("/checkout/")
    key = page.context["form"]["idempotency_key"].value()
    form = {
        "email": "eve@example.org", "name": "Eve", "line1": "Road 1", "postal_code": "1", "city": "Oslo",
        "country": "NO", "payment_token": "tok_ok", **AS_TEXT, "idempotency_key": key,
    }  # fmt: skip
    assert client.post("/checkout/", form).status_code == 302
    order = Order.objects.get()
    assert order.lines.get().unit_price == Product.objects.get(sku="MUG").price
    assert (order.customer_id, order.status, order.payment, order.stock) == (None, "placed", "pending", "pending")
