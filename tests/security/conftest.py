"""A shop with one order in it, and everybody who might want to see it."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.checkout.placement import place_order
from orders.models import Order
from tests.orders.conftest import MakeBody, make_body, products  # noqa: F401 - a catalogue and orders here, too
from tests.security.routes import ROLES, knock_as


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada@example.org", email="ada@example.org")


@pytest.fixture
def order(ada: User, products: None, make_body: MakeBody) -> Order:  # noqa: F811
    """An order of Ada's."""
    placement = place_order(idempotency_key=str(uuid4()), request=make_body(), caller=ada)
    return Order.objects.get(pk=placement.answer["id"])


@pytest.fixture
def people(ada: User, order: Order) -> dict[str, Client]:
    """A client for each of ROLES; Ada is the owner."""
    return {role: knock_as(role, ada, order.pk) for role in ROLES}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cases schemathesis has asked as each role."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    asked = {report.nodeid: dict(report.user_properties).get("cases") for report in reports if report.when == "call"}
    cases = {nodeid.rpartition("[")[2].rstrip("]"): count for nodeid, count in asked.items() if count}
    if cases:
        told = ", ".join(f"{role} {count:,}" for role, count in cases.items())
        terminalreporter.line(f"schemathesis: {told}; {sum(cases.values()):,} cases")
