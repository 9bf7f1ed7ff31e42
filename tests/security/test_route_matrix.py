"""The response of each route to each role. A new route fails the test until it has a row in MATRIX."""

import json
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from orders.cart.storage import create_cart
from orders.models import Order
from shop.catalogue.models import Category
from tests.security.routes import METHODS, ROLES, walk_routes

pytestmark = pytest.mark.django_db

# The status for guest, stranger, owner, holder of the order's token, staff without permissions, support, warehouse,
# finance, operator, and superuser. Bodies are empty, so 400 and 422 mean that the role has access. 404 means that the
# order belongs to another customer.
ALL = "200 200 200 200 200 200 200 200 200 200"
LOGGED_IN = "401 200 200 401 200 200 200 200 200 200"
ITS_OWN = "404 404 200 200 404 404 404 404 404 404"
OWN_CART = "404 404 200 404 404 404 404 404 404 404"  # a guest's cart is open to all who know its id
LOOK = "302 403 403 302 403 403 403 403 200 200"
LOOK_FOR_NOTHING = LOOK.replace("200", "404")  # nothing is parked or replayed
PAGE_OF_ORDER = "404 404 200 404 404 200 200 200 200 200"
SALES = "302 403 403 302 403 403 403 200 403 200"
MATRIX: dict[str, dict[str, str]] = {
    # A separate test below checks the other routes of the admin.
    "admin/login/": {
        "GET": "200 200 200 200 302 302 302 302 302 302",
        "POST": "200 200 200 200 200 200 200 200 200 200",
    },
    "api/schema/": {"GET": ALL},
    "api/docs/": {"GET": ALL},
    "api/v1/products/": {"GET": ALL},
    "api/v1/products/<sku:sku>/": {"GET": ALL},
    "api/v1/carts/": {"POST": "201 201 201 201 201 201 201 201 201 201"},
    "api/v1/carts/<uuid:cart_id>/": {"GET": OWN_CART, "DELETE": "404 404 204 404 404 404 404 404 404 404"},
    "api/v1/carts/<uuid:cart_id>/lines/": {"POST": OWN_CART},
    "api/v1/carts/<uuid:cart_id>/lines/<sku:sku>/": {
        "PUT": OWN_CART,
        "DELETE": "404 404 204 404 404 404 404 404 404 404",
    },
    "api/v1/orders/": {"GET": LOGGED_IN, "POST": "400 400 400 400 400 400 400 400 400 400"},
    "api/v1/orders/<uuid:order_id>/": {"GET": ITS_OWN},
    "api/v1/orders/<uuid:order_id>/cancel/": {"POST": ITS_OWN},
    "api/v1/orders/<uuid:order_id>/timeline/": {"GET": ITS_OWN},
    "api/v1/orders/<uuid:order_id>/events/": {"GET": ITS_OWN.replace("200", "307")},
    "api/v1/orders/<uuid:order_id>/messages/": {"GET": ITS_OWN},
    "api/v1/messages/": {"GET": LOGGED_IN},
    "api/v1/accounts/": {"POST": "400 400 400 400 400 400 400 400 400 400"},
    "api/v1/accounts/me/": {"GET": LOGGED_IN},
    "api/v1/accounts/me/password/": {"PUT": "401 400 400 401 400 400 400 400 400 400"},
    "api/v1/tokens/": {
        "POST": "400 400 400 400 400 400 400 400 400 400",
        "DELETE": "401 204 204 401 204 204 204 204 204 204",
    },
    "api/v1/tokens/current/": {"DELETE": "401 204 204 401 204 204 204 204 204 204"},
    "webhooks/payments": {"POST": "400 400 400 400 400 400 400 400 400 400"},  # no signature
    "control/": {"GET": "302 403 403 302 403 403 403 403 200 200"},
    "control/now.json": {"GET": "302 403 403 302 403 403 403 403 503 503"},  # there is no sample yet
    "control/consumers/": {"GET": "302 403 403 302 403 403 403 403 200 200"},
    "control/consumers/<slug:name>/": {"GET": "302 403 403 302 403 403 403 403 200 200"},
    # An empty reason is refused by a message on the consumer's page.
    "control/consumers/<slug:name>/pause/": {"POST": "302 403 403 302 403 403 403 403 302 302"},
    "control/consumers/<slug:name>/resume/": {"POST": "302 403 403 302 403 403 403 403 302 302"},
    "control/orders/": {"GET": "302 403 403 302 403 200 200 200 200 200"},
    "control/orders/<str:number>/": {"GET": "302 403 403 302 403 200 200 200 200 200"},
    "control/parked/": {"GET": LOOK},
    "control/parked/causes/<str:fingerprint>/": {"GET": LOOK_FOR_NOTHING},
    "control/parked/causes/<str:fingerprint>/note/": {"POST": LOOK.replace("200", "302")},
    "control/parked/causes/<str:fingerprint>/choose/": {"POST": LOOK_FOR_NOTHING},
    "control/parked/redrives/<int:redrive_id>/": {"GET": LOOK_FOR_NOTHING},
    "control/parked/redrives/<int:redrive_id>/act/": {"POST": LOOK_FOR_NOTHING},
    "control/parked/key/": {"GET": LOOK_FOR_NOTHING},
    "control/parked/key/act/": {"POST": LOOK_FOR_NOTHING},
    "control/replay/": {"GET": LOOK},
    "control/replay/count/": {"POST": LOOK.replace("200", "422")},
    "control/replay/<int:replay_id>/": {"GET": LOOK_FOR_NOTHING},
    "control/replay/<int:replay_id>/act/": {"POST": LOOK_FOR_NOTHING},
    "control/ledger/": {"GET": "302 403 403 302 403 403 403 403 200 200"},
    "control/ledger/verify/": {"POST": "302 403 403 302 403 403 403 403 302 302"},
    "control/ledger/accept/<int:window>/<slug:part>/": {"POST": "302 403 403 302 403 403 403 403 404 404"},
    "lab/": {"GET": "302 403 403 302 403 403 403 403 200 200"},
    "lab/start/": {"POST": "302 403 403 302 403 403 403 403 302 302"},
    "lab/stop/": {"POST": "302 403 403 302 403 403 403 403 302 302"},
    "lab/switch/": {"POST": "302 403 403 302 403 403 403 403 302 302"},
    "control/sales/": {"GET": SALES},
    "control/sales/<slug:panel>/": {"GET": SALES},
    "control/sales/<slug:panel>/rows.csv": {"GET": SALES},
    "api/v1/analytics/": {"GET": SALES.replace("302", "401")},
    "api/v1/analytics/<slug:panel>/": {"GET": SALES.replace("302", "401")},
    "healthz": {"GET": ALL},
    # Only localhost or the token opens the page: tests/relay/health/test_metrics.py.
    "metrics": {"GET": ALL.replace("200", "403")},
    "": {"GET": ALL},
    "c/<slug:slug>/": {"GET": ALL},
    "search/": {"GET": ALL},
    "p/<sku:sku>/": {"GET": ALL},
    "stock/": {"GET": ALL},
    "cart/": {"GET": ALL},
    "cart/add/": {"POST": "404 404 404 404 404 404 404 404 404 404"},  # no product was named
    "cart/lines/<sku:sku>/": {"POST": "302 302 302 302 302 302 302 302 302 302"},
    "checkout/": {
        "GET": "302 302 302 302 302 302 302 302 302 302",
        "POST": "302 302 302 302 302 302 302 302 302 302",
    },  # the cart is empty
    "orders/": {"GET": "302 200 200 302 200 200 200 200 200 200"},
    "orders/<uuid:order_id>/": {"GET": PAGE_OF_ORDER},
    "orders/<uuid:order_id>/progress/": {"GET": PAGE_OF_ORDER},
    # Staff cancel in the admin, with a permission and a reason.
    "orders/<uuid:order_id>/cancel/": {"POST": "404 404 302 404 404 403 403 403 403 403"},
    "messages/<uuid:order_id>/": {"GET": PAGE_OF_ORDER},
    "staff/mailbox/": {"GET": "302 302 302 302 403 200 403 403 403 200"},
    "log-in/": {"GET": "200 302 302 200 302 302 302 302 302 302", "POST": "422 422 422 422 422 422 422 422 422 422"},
    "register/": {"GET": "200 302 302 200 302 302 302 302 302 302", "POST": "422 422 422 422 422 422 422 422 422 422"},
    "log-out/": {"POST": "302 302 302 302 302 302 302 302 302 302"},
    "account/": {"GET": "302 200 200 302 200 200 200 200 200 200"},
    "account/password/": {
        "GET": "302 200 200 302 200 200 200 200 200 200",
        "POST": "302 422 422 302 422 422 422 422 422 422",
    },
}
#: Bodies for routes whose response to an empty body would not show whether the role has access.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "api/v1/carts/<uuid:cart_id>/lines/"): {"sku": "MUG", "quantity": 1},
    ("PUT", "api/v1/carts/<uuid:cart_id>/lines/<sku:sku>/"): {"quantity": 1},
}
SHUT = {401, 403, 404, 405}
ROUTES = [route for route, _ in walk_routes()]


def fill(route: str, order: Order) -> str:
    """Return the path of `route` with the ids of existing objects."""
    cart_id = create_cart(order.customer_id) if "cart_id" in route else ""
    values = {
        "<uuid:order_id>": order.pk,
        "<str:number>": order.number,
        "<uuid:cart_id>": cart_id,
        "<sku:sku>": "MUG",
        "<slug:name>": "inventory",
        "<slug:panel>": "pace",
        "<slug:slug>": Category.objects.get().slug,
        "<str:fingerprint>": "0" * 32,
        "<int:redrive_id>": 1,
        "<int:replay_id>": 1,
        "<int:window>": 1,
        "<slug:part>": "log",
    }
    for place, value in values.items():
        route = route.replace(place, str(value))
    assert "<" not in route, f"add the parameter of {route} to fill()"
    return f"/{route}"


def knock(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """Return the status of a request, with an empty body by default."""
    kind = "application/json" if path.startswith("/api/") else "application/x-www-form-urlencoded"
    sent = json.dumps(body or {}).encode() if "json" in kind else b""
    answer = client.generic(method, path, sent, content_type=kind)
    return answer.status_code


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert sorted(set(ROUTES)) == sorted(MATRIX)


@pytest.mark.parametrize("route", MATRIX)
def test_a_route_answers_each_role_as_its_row_says(route: str, people: dict[str, Client], order: Order) -> None:
    path = fill(route, order)
    for method in [*(m for m in METHODS if m not in MATRIX[route]), *MATRIX[route]]:
        found = [knock(people[role], method, path, BODIES.get((method, route))) for role in ROLES]
        if method in MATRIX[route]:
            assert dict(zip(ROLES, found, strict=True)) == dict(
                zip(ROLES, map(int, MATRIX[route][method].split()), strict=True)
            ), method
        else:
            assert set(found) <= SHUT, f"{method} is allowed, but has no row"


def list_admin_paths() -> list[tuple[str, str]]:
    """Return the method and the path of each table's list, form and actions in the admin."""
    found = [("GET", "/admin/")]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        places = [reverse(f"{name}_changelist"), reverse(f"{name}_add"), reverse(f"{name}_change", args=["1"])]
        found += [("GET", place) for place in places] + [("POST", place) for place in places[:2]]
    return found


def test_the_admin_is_for_staff_and_its_tables_for_staff_with_permission(people: dict[str, Client]) -> None:
    for method, path in list_admin_paths():
        found = {role: knock(people[role], method, path) for role in ("guest", "owner", "staff")}
        assert (found["guest"], found["owner"]) == (302, 302), path
        # For a missing row, the admin redirects to its index.
        assert path == "/admin/" or found["staff"] in (403, 302), (path, found)


def test_an_api_view_without_permissions_denies_access(people: dict[str, Client]) -> None:
    class Forgotten(APIView):
        def get(self, request: Any) -> Any:
            raise AssertionError("access was granted")

    assert Forgotten.as_view()(APIRequestFactory().get("/")).status_code in (401, 403)
