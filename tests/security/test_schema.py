"""schemathesis sends valid and invalid requests to the API for each role, generated from the API's schema.

`make test` runs a sample. `make test-long` (LONG=all) runs more than 5,000 cases, and prints their number by role.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from orders.cart.storage import create_cart
from orders.checkout.placement import place_order
from orders.models import Cart, Order
from shop.accounts.registration import register_account
from shop.catalogue.models import Product
from tests.orders.conftest import MakeBody

PASSWORD = "difference-engine-1843"
SEED = os.environ["SEED"]
REPORT = "report.json"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ensure_resource_availability",
    "use_after_free",
    "ignored_auth",
]


@pytest.fixture
def emails(transactional_db: None, products: None, make_body: MakeBody) -> dict[str, str]:
    """Return the e-mail address of an account for each role, and of one whose log-ins the calls may end."""
    lamp = Product.objects.get(sku="LAMP")
    Product.objects.create(sku="MUG-KUKSA", name="Kuksa", price=3900, category=lamp.category)  # as in the examples
    emails = {role: f"fuzz-{role}@example.org" for role in ("customer", "staff", "leaver")}
    for email in emails.values():
        register_account(email=email, password=PASSWORD)
    for email in emails.values():
        user = User.objects.get(username=email)
        create_cart(user.pk)
        place_order(idempotency_key="own", request=make_body(), caller=user)
    User.objects.filter(username=emails["staff"]).update(is_staff=True, is_superuser=True)
    return emails


@pytest.mark.parametrize(
    ("role", "phases", "examples", "least"),
    [
        pytest.param("customer", "examples,fuzzing,stateful", 5, 100, id="a sample"),
        # The coverage phase generates about 1,500 cases.
        *(
            pytest.param(role, "examples,coverage,fuzzing,stateful", 100, 2000, id=role, marks=pytest.mark.long)
            for role in ("guest", "customer", "staff")
        ),
    ],
)
@pytest.mark.timeout(3000)
def test_no_answer_is_a_5xx_or_breaks_the_schema(
    role: str,
    phases: str,
    examples: int,
    least: int,
    live_server: LiveServer,
    emails: dict[str, str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    done = fuzz(live_server.url, emails, role, phases, examples, tmp_path)
    assert done.returncode == 0, f"SEED={SEED}\n{done.stdout[-8000:]}{done.stderr[-2000:]}"
    report = json.loads((tmp_path / REPORT).read_text())
    record_property("cases", report["test_cases"]["generated"])  # conftest.py prints it
    assert report["test_cases"]["generated"] >= least
    assert report["operations"]["skipped"] == report["operations"]["errored"] == 0
    ended = {name: report["phases"][name]["status"] for name in phases.split(",")}
    assert set(ended.values()) == {"success"}, ended


def name_own(email: str) -> dict[str, str]:
    """Return the variables with the order and the cart of a role, for the hooks. A guest has none."""
    if not email:
        return {}
    order, cart = Order.objects.get(customer__username=email), Cart.objects.get(customer__username=email)
    return {"FUZZ_ORDER": str(order.pk), "FUZZ_CART": str(cart.pk)}


def fuzz(
    url: str, emails: dict[str, str], role: str, phases: str, examples: int, folder: Path
) -> "subprocess.CompletedProcess[str]":
    """Run schemathesis as `role` and return the ended process."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(settings.BASE_DIR),
        "SCHEMATHESIS_HOOKS": "tests.security.fuzzing",
        "FUZZ_URL": url,
        "FUZZ_PASSWORD": PASSWORD,
        "FUZZ_LEAVER": emails["leaver"],
        **name_own(emails.get(role, "")),
        **({"FUZZ_EMAIL": emails[role]} if role in emails else {}),
    }
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/api/schema/?format=json",
        "--include-path-regex", "^/api/v1/", "--phases", phases, "--checks", ",".join(CHECKS),
        "--max-examples", str(examples), "--seed", SEED, "--suppress-health-check", "all",
        "--continue-on-failure", "--workers", "2", "--report", "json", "--report-json-path", REPORT,
    ]  # fmt: skip
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2900, cwd=folder)
