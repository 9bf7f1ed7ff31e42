"""schemathesis asks everything that the API's schema allows, and much that it does not, as each role.

`make test` asks a sample; `make test-long` (LONG=all) more than 5,000 cases.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from shop.accounts.registration import register_account
from shop.catalogue.models import Product

LONG = os.environ.get("LONG") == "all"
PASSWORD = "difference-engine-1843"
ROLES = ["guest", "customer", "staff"] if LONG else ["customer"]
EXAMPLES = 120 if LONG else 6
#: The coverage phase alone asks some 1,500 cases.
PHASES = "examples,coverage,fuzzing,stateful" if LONG else "examples,fuzzing,stateful"
SEED = os.environ.get("SEED", "20261122")
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
def emails(transactional_db: None, products: None) -> dict[str, str]:
    """An account for each role, and one that is only logged out again."""
    lamp = Product.objects.get(sku="LAMP")
    Product.objects.create(sku="MUG-KUKSA", name="Kuksa", price=3900, category=lamp.category)  # as in the examples
    emails = {role: f"fuzz-{role}@example.org" for role in ("customer", "staff", "leaver")}
    for email in emails.values():
        register_account(email=email, password=PASSWORD)
    User.objects.filter(username=emails["staff"]).update(is_staff=True, is_superuser=True)
    return emails


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("role", ROLES)
def test_no_answer_is_a_5xx_or_breaks_the_schema(
    role: str, live_server: LiveServer, emails: dict[str, str], tmp_path: Path
) -> None:
    report, done = fuzz(live_server.url, emails, role, tmp_path)
    assert done.returncode == 0, f"SEED={SEED}\n{done.stdout[-8000:]}{done.stderr[-2000:]}"
    assert report


def fuzz(
    url: str, emails: dict[str, str], role: str, folder: Path
) -> tuple[dict[str, Any], "subprocess.CompletedProcess[str]"]:
    """Run schemathesis as `role` and return its report and the ended process."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(settings.BASE_DIR),
        "SCHEMATHESIS_HOOKS": "tests.security.fuzzing",
        "FUZZ_URL": url,
        "FUZZ_PASSWORD": PASSWORD,
        "FUZZ_LEAVER": emails["leaver"],
        **({"FUZZ_EMAIL": emails[role]} if role in emails else {}),
    }
    found = folder / "report.json"
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/api/schema/?format=json",
        "--include-path-regex", "^/api/v1/", "--phases", PHASES,
        "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--seed", SEED,
        "--suppress-health-check", "all", "--report-json-path", str(found), "--continue-on-failure",
        "--workers", "2",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2900, cwd=folder)
    return (json.loads(found.read_text()) if found.exists() else {}), done
