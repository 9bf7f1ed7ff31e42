"""Production refuses unsafe settings: all at once, with cures, and each unless its variable accepts the risk."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from shop import kafka_security
from shop.production import RULES, refuse_risks
from tests.shop.environment import ROOT, SAFE, manage, read_documented_variables

SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture
def safe(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return settings that production accepts, in an environment with Kafka's authentication."""
    for rule in RULES:
        monkeypatch.delenv(rule.accept or "ACCEPT_NOTHING", raising=False)
    return SimpleNamespace(
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        PRODUCTION=True,
        DEBUG=False,
        LAB=False,
        SECRET_KEY="k9-" * 20,
        SECRET_KEY_FALLBACKS=[],
        ALLOWED_HOSTS=["shop.example"],
        DATABASES={"default": {"USER": "shop", "PASSWORD": "l0ngRandom"}},
        EMAIL_BACKEND=SMTP,
        SANDBOX_IS_USED=False,
        STRIPE_KEY="sk_live_1",
        STRIPE_WEBHOOK_SECRET="whsec_1",
        SMS_PROVIDER="notifications.twilio.TwilioSms",
        TWILIO_ACCOUNT="AC1",
        TWILIO_TOKEN="t",
        TWILIO_SENDER="Shop",
        TRUSTED_PROXIES=1,
    )


def with_password(user: str, password: str) -> dict[str, Any]:
    return {"default": {"USER": user, "PASSWORD": password}}


@pytest.mark.parametrize(
    ("changes", "accept", "words"),
    [
        ({"SECRET_KEY": ""}, "", "SECRET_KEY is not set"),
        ({"SECRET_KEY": "for-this-machine-only-0123"}, "ACCEPT_KNOWN_KEY", "public source code"),
        ({"SECRET_KEY_FALLBACKS": ["for-this-machine-only-0"]}, "ACCEPT_KNOWN_KEY", "public source code"),
        ({"ALLOWED_HOSTS": []}, "", "ALLOWED_HOSTS is not set"),
        ({"ALLOWED_HOSTS": ["shop.example", "*"]}, "ACCEPT_ANY_HOST", "ALLOWED_HOSTS contains *"),
        (
            {"DATABASES": with_password("shop", "")},
            "ACCEPT_WEAK_DATABASE_PASSWORD",
            "DATABASE_URL contains no password",
        ),
        ({"DATABASES": with_password("me", "Shop")}, "ACCEPT_WEAK_DATABASE_PASSWORD", "password is a well-known one"),
        (
            {"DATABASES": with_password("Fjord", "fjord")},
            "ACCEPT_WEAK_DATABASE_PASSWORD",
            "password is a well-known one",
        ),
        ({"EMAIL_BACKEND": "notifications.mailbox.EmailBackend"}, "ACCEPT_MAILBOX", "No mail server is set"),
        ({"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}, "ACCEPT_MAILBOX", "dummy.EmailBackend"),
        ({"SANDBOX_IS_USED": True}, "ACCEPT_SANDBOX_PAYMENTS", "moves no money"),
        ({"STRIPE_KEY": "sk_test_1"}, "ACCEPT_SANDBOX_PAYMENTS", "Stripe's test mode"),
        ({"STRIPE_KEY": ""}, "", "STRIPE_KEY is not set: PAYMENT_GATEWAY=stripe requires it"),
        ({"STRIPE_WEBHOOK_SECRET": ""}, "", "STRIPE_WEBHOOK_SECRET is not set: PAYMENT_GATEWAY=stripe requires it"),
        ({"SMS_PROVIDER": "notifications.mailbox.SandboxSms"}, "ACCEPT_SANDBOX_SMS", "SMS_PROVIDER is 'sandbox'"),
        ({"TWILIO_ACCOUNT": ""}, "", "TWILIO_ACCOUNT is not set: SMS_PROVIDER=twilio requires it"),
        ({"TWILIO_TOKEN": ""}, "", "TWILIO_TOKEN is not set: SMS_PROVIDER=twilio requires it"),
        ({"TWILIO_SENDER": ""}, "", "TWILIO_SENDER is not set: SMS_PROVIDER=twilio requires it"),
        ({"TRUSTED_PROXIES": 0}, "ACCEPT_NO_PROXY", "TRUSTED_PROXIES is 0"),
        ({"DEBUG": True}, "", "DEBUG is 1"),
        ({"LAB": True}, "", "LAB is 1"),
    ],
)
def test_a_risk_is_refused_unless_its_variable_accepts_it(
    safe: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], accept: str, words: str
) -> None:
    refuse_risks(safe)
    vars(safe).update(changes)
    with pytest.raises(ImproperlyConfigured) as refusal:
        refuse_risks(safe)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)
    for rule in RULES:
        if rule.accept and rule.accept != accept:
            monkeypatch.setenv(rule.accept, "1")
    with pytest.raises(ImproperlyConfigured, match=re.escape(words)):
        refuse_risks(safe)
    if accept:
        monkeypatch.setenv(accept, "1")
        refuse_risks(safe)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_kafka_without_authentication_is_refused_unless_accepted(
    safe: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    safe.KAFKA_SECURITY_PROTOCOL = protocol
    with pytest.raises(ImproperlyConfigured, match=f"KAFKA_SECURITY_PROTOCOL is {protocol}: "):
        refuse_risks(safe)
    monkeypatch.setenv("ACCEPT_OPEN_KAFKA", "1")
    refuse_risks(safe)


def test_an_acceptance_must_be_a_boolean(safe: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    safe.TRUSTED_PROXIES = 0
    monkeypatch.setenv("ACCEPT_NO_PROXY", "maybe")
    with pytest.raises(ImproperlyConfigured, match="ACCEPT_NO_PROXY='maybe' is not a boolean"):
        refuse_risks(safe)


def test_a_start_in_production_names_all_problems_at_once() -> None:
    done = manage("check", PRODUCTION="1", PAYMENT_GATEWAY="stripe", SMS_PROVIDER="twilio", DEBUG="1")
    assert done.returncode == 1
    head, *reasons = done.stderr.strip().splitlines()
    assert head == f"The settings are refused for {len(reasons)} reasons:"
    assert [re.split(r"[ :.]", reason)[1] for reason in reasons] == [
        *("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "No", "STRIPE_KEY", "STRIPE_WEBHOOK_SECRET"),
        *("TWILIO_ACCOUNT", "TWILIO_TOKEN", "TWILIO_SENDER", "KAFKA_SECURITY_PROTOCOL", "TRUSTED_PROXIES", "DEBUG"),
    ]


def test_outside_production_only_credentials_of_chosen_services_are_required() -> None:
    done = manage("check", PAYMENT_GATEWAY="stripe", STRIPE_KEY="sk_test_1")
    expected = "STRIPE_WEBHOOK_SECRET is not set: PAYMENT_GATEWAY=stripe requires it. "
    assert done.returncode == 1 and done.stderr.startswith(expected) and len(done.stderr.splitlines()) == 1


def test_a_deployment_check_of_safe_settings_finds_nothing() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **SAFE)
    assert done.returncode == 0, done.stderr


def test_a_deployment_check_warns_of_every_accepted_risk() -> None:
    accepted = {rule.accept: "1" for rule in RULES if rule.accept}
    given = {"PRODUCTION": "1", "SECRET_KEY": "django-insecure-" + "k9" * 30, "ALLOWED_HOSTS": "*"}
    done = manage("check", "--deploy", **given, **accepted)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"\(shop\.(\w+)\)", done.stderr) == [f"W{n:03}" for n in (2, 4, 5, 6, 7, 10, 14, 15)]


def test_a_deployment_check_outside_production_lists_what_production_would_refuse() -> None:
    done = manage("check", "--deploy")
    assert done.returncode == 1
    assert re.findall(r"\(shop\.(\w+)\)", done.stderr) == [f"E{n:03}" for n in (0, 2, 4, 5, 6, 7, 10, 14, 15)]


def test_the_ids_of_the_rules_are_unique() -> None:
    assert len({rule.number for rule in RULES}) == len(RULES)


def test_every_variable_of_the_settings_is_documented() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "shop").rglob("*.py"))
    read = set(re.findall(r"(?:\bread_[a-z]+|\bderive_keys|_demand)\(\s*\"([A-Z_]+)\"", sources))
    assert len(read) > 30
    compose_only = {name for name, meaning in read_documented_variables().items() if "compose` only" in meaning}
    read |= set(kafka_security.VARIABLES)
    accepted = {rule.accept for rule in RULES if rule.accept}
    assert read | accepted == read_documented_variables().keys() - compose_only


def test_tls_is_believed_only_from_a_trusted_proxy() -> None:
    show = "from django.conf import settings; print(settings.SECURE_PROXY_SSL_HEADER)"
    for proxies, header in (("0", "None"), ("1", "('HTTP_X_FORWARDED_PROTO', 'https')")):
        given = {**SAFE, "TRUSTED_PROXIES": proxies, "ACCEPT_NO_PROXY": "1"}
        done = manage("shell", "-v0", "-c", show, **given)
        assert (done.returncode, done.stdout.strip()) == (0, header), done.stderr


@pytest.mark.django_db
def test_probes_are_answered_by_address_and_pages_only_under_the_shops_names(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["shop.example"]
    client = Client()
    assert client.get("/healthz", headers={"host": "10.0.0.7:8000"}).status_code == 200
    assert client.get("/", headers={"host": "shop.example"}).status_code == 200
    assert client.get("/", headers={"host": "foreign.example"}).status_code == 400
