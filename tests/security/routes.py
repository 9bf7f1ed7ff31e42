"""All routes of the URL configuration, and the roles of clients."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from knox.models import AuthToken

from shop.web.order_access import sign_order

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
#: Staff of the groups that a migration creates. "staff" has no permission, "admin" is a superuser.
GROUPS = ["support", "warehouse", "finance", "operator"]
ROLES = ["guest", "stranger", "owner", "holder", "staff", *GROUPS, "admin"]


def walk_routes(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Yield each route, for example ``api/v1/orders/<uuid:order_id>/``, with its pattern. Skip the admin's routes."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver) and entry.app_name == "admin":
            continue
        if isinstance(entry, URLResolver):
            yield from walk_routes(entry, route)
        else:
            yield route, entry


def knock_as(role: str, owner: User, order_id: UUID) -> Client:
    """Return a client of this role, with a session for the pages and a token for the API."""
    if role in ("guest", "holder"):
        return Client(headers={"X-Order-Token": sign_order(order_id)} if role == "holder" else None)
    flags = {"is_staff": role in ("staff", *GROUPS, "admin"), "is_superuser": role == "admin"}
    user = owner if role == "owner" else User.objects.create(username=f"{role}@example.org", **flags)
    if role in GROUPS:
        user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"Authorization": f"Bearer {AuthToken.objects.create(user)[1]}"})
    client.force_login(user)
    client.raise_request_exception = False
    return client
