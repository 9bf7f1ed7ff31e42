"""A rotation of SECRET_KEY in two steps: no session, cart, order link, webhook or gateway call fails in between.

The processes of a shop restart one after the other. Therefore each test lets a process of one stage check what a
process of the stage before or after it has signed.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import urllib3
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from orders.checkout.caps import CapExceeded
from orders.checkout.placement import place_order
from payments.gateways.protocol import GatewayUnavailable
from payments.gateways.sandbox import SandboxGateway
from payments.gateways.signatures import sign
from shop.catalogue.models import Product
from shop.environment import derive_keys
from shop.web.order_access import opens_order, sign_order
from tests.catalogue.conftest import ADDRESS, cart, mug, read_key, tent  # noqa: F401 - fixtures
from tests.orders.conftest import MakeBody, make_body, products  # noqa: F401 - fixtures
from tests.processes import end_process

pytestmark = pytest.mark.django_db
OLD, NEW = "old-" * 16, "new-" * 16
#: SECRET_KEY, followed by SECRET_KEY_FALLBACKS, in the order of a rotation.
STAGES = {"before": [OLD], "prepared": [OLD, NEW], "swapped": [NEW, OLD], "after": [NEW]}
#: Stages whose processes run at the same time: the first one signs, the second one checks.
NEIGHBOURS = [
    *(("before", "prepared"), ("prepared", "before"), ("prepared", "swapped"), ("swapped", "prepared")),
    *(("swapped", "after"), ("before", "before"), ("after", "after")),
]
pairs = pytest.mark.parametrize(("signer", "checker"), NEIGHBOURS)


def enter(settings: Any, stage: str) -> None:
    """Give this process the keys of `stage`."""
    settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS = STAGES[stage]
    settings.SANDBOX_KEYS = derive_keys("SANDBOX_KEY", "sandbox gateway", STAGES[stage])
    settings.PAYMENT_WEBHOOK_SECRETS = derive_keys("PAYMENT_WEBHOOK_SECRET", "payment webhooks", STAGES[stage])


@pairs
def test_an_orders_link_opens_the_order(settings: Any, signer: str, checker: str) -> None:
    order_id = uuid4()
    enter(settings, signer)
    token = sign_order(order_id)
    enter(settings, checker)
    assert opens_order(token, order_id)
    assert not opens_order(token, uuid4())


@pairs
def test_a_log_in_and_a_guests_cart_and_order_are_kept(
    cart: Client,  # noqa: F811
    django_user_model: Any,
    settings: Any,
    signer: str,
    checker: str,
) -> None:
    enter(settings, signer)
    customer = Client()
    django_user_model.objects.create_user("ada@example.org", "ada@example.org", "difference-engine-1843")
    customer.post("/log-in/", {"email": "ada@example.org", "password": "difference-engine-1843"})
    cart.post("/cart/add/", {"sku": "MUG"})
    ordered = cart.post("/checkout/", {**ADDRESS, "idempotency_key": read_key(cart.get("/checkout/"))})
    cart.post("/cart/add/", {"sku": "TENT"})
    enter(settings, checker)
    assert customer.get("/account/").status_code == 200
    assert "Tunnel Tent" in cart.get("/cart/").content.decode()
    assert cart.get(ordered["Location"]).status_code == 200


@pairs
def test_a_webhook_is_accepted(client: Client, settings: Any, signer: str, checker: str) -> None:
    body = b'{"id": "evt_1", "type": "authorize.booked", "key": "k"}'
    enter(settings, signer)
    signature = sign(body, settings.PAYMENT_WEBHOOK_SECRETS[0], time.time())
    enter(settings, checker)
    answer = client.post(
        "/webhooks/payments", body, content_type="application/json", headers={"Sandbox-Signature": signature}
    )
    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("stage", STAGES)
def test_the_gateways_process_accepts_the_workers_of_the_neighbouring_stages(settings: Any, stage: str) -> None:
    callers = {signer for signer, checker in NEIGHBOURS if checker == stage}
    with serve_gateway_with(STAGES[stage]) as settings.SANDBOX_URL:
        for caller in sorted(callers):
            enter(settings, caller)
            assert SandboxGateway().lookup("never") is None
        for stranger in sorted(STAGES.keys() - callers):
            enter(settings, stranger)
            if settings.SECRET_KEY not in STAGES[stage]:
                with pytest.raises(GatewayUnavailable, match="401"):
                    SandboxGateway().lookup("never")


@pairs
def test_a_cap_holds_for_a_guest_who_orders_again(
    make_body: MakeBody,  # noqa: F811
    products: None,  # noqa: F811
    settings: Any,
    signer: str,
    checker: str,
) -> None:
    Product.objects.filter(sku="LAMP").update(most_per_customer=3)
    body = make_body(lines=[{"sku": "LAMP", "quantity": 2}])
    enter(settings, signer)
    place_order(idempotency_key="k-1", request=body)
    enter(settings, checker)
    if settings.SECRET_KEY_FALLBACKS or signer == checker:
        with pytest.raises(CapExceeded):
            place_order(idempotency_key="k-2", request=body)


@contextmanager
def serve_gateway_with(keys: list[str]) -> Iterator[str]:
    """Serve the sandbox gateway in a process of its own, which has `keys`, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = connection.get_connection_params()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")},
        "DATABASE_URL": f"postgres://{database['user']}@{database['host']}:{database['port']}/{database['dbname']}",
        "SECRET_KEY": keys[0],
        "SECRET_KEY_FALLBACKS": ",".join(keys[1:]),
    }
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    # A worker may hang while it stops (issue 875 of Granian).
    command += ["--no-log", "--workers-kill-timeout", "5", "payments.sandbox.wsgi:application"]
    with subprocess.Popen(command, cwd=django_settings.BASE_DIR, env=environment) as process:
        try:
            wait_until_served(f"http://127.0.0.1:{port}/healthz", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            end_process(process)


def wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when `url` answers 200. Fail if the process ends or does not answer within a minute."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if urllib3.request("GET", url, retries=False, timeout=5).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)
    raise AssertionError(f"the gateway does not answer at {url}; exit code {process.poll()}")
