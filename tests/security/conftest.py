"""A shop with one order, and a client for each role."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.checkout.placement import place_order
from orders.models import Order
from tests.orders.conftest import MakeBody, make_body, products  # noqa: F401 - fixtures
from tests.security.routes import ROLES, knock_as


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada@example.org", email="ada@example.org")


@pytest.fixture
def order(ada: User, products: None, make_body: MakeBody) -> Order:  # noqa: F811
    """Ada's order."""
    placement = place_order(idempotency_key=str(uuid4()), request=make_body(), caller=ada)
    return Order.objects.get(pk=placement.answer["id"])


@pytest.fixture
def people(ada: User, order: Order) -> dict[str, Client]:
    """Return a client for each of ROLES. Ada is the owner."""
    return {role: knock_as(role, ada, order.pk) for role in ROLES}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of cases that schemathesis has run for each role."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    counts = {report.nodeid: dict(report.user_properties).get("cases") for report in reports if report.when == "call"}
    cases = {nodeid.rpartition("[")[2].rstrip("]"): count for nodeid, count in counts.items() if count}
    if cases:
        by_role = ", ".join(f"{role} {count:,}" for role, count in cases.items())
        terminalreporter.line(f"schemathesis: {by_role}; {sum(cases.values()):,} cases")
