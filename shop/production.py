"""The rules of safe settings for production. A risky setting is refused unless the variable of its rule accepts it.

shop/settings.py calls `refuse_risks` at its end, and `check --deploy` reports the same risks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from shop.environment import read_bool

#: The SECRET_KEY outside production. It is public, because it is part of the source code.
KNOWN_KEY = "for-this-machine-only-" + "0123456789abcdef" * 3
#: Database passwords that an attacker tries first, in lower case. The user's own name counts as one, too.
KNOWN_PASSWORDS = {
    *("shop", "postgres", "postgresql", "password", "passwort", "secret", "admin", "administrator", "root", "user"),
    *("test", "demo", "example", "changeme", "change-me", "change_me", "123456", "12345678", "123456789", "qwerty"),
}


@dataclass(frozen=True)
class Rule:
    """A rule of safe settings. `find` returns what is wrong, or "" if nothing is.

    `accept` is the variable that accepts the risk; nothing accepts a risk without one. A rule that holds `anywhere`
    is checked outside production, too.
    """

    number: int
    find: Callable[[Any], str]
    cure: str
    accept: str = ""
    anywhere: bool = False


@dataclass(frozen=True)
class Risk:
    """A broken rule. `problem` is a sentence without the full stop."""

    rule: Rule
    problem: str

    @property
    def accepted(self) -> bool:
        """Return whether the environment accepts the risk."""
        return bool(self.rule.accept) and read_bool(self.rule.accept)

    @property
    def advice(self) -> str:
        """Return the sentences that say how to remove or accept the risk."""
        return f"{self.rule.cure}{f' {self.rule.accept}=1 accepts the risk.' if self.rule.accept else ''}"


def require(name: str, wanted_by: str = "PRODUCTION=1") -> Callable[[Any], str]:
    """Return the `find` of a rule that the setting `name` is not empty."""
    return lambda settings: "" if getattr(settings, name) else f"{name} is not set: {wanted_by} requires it"


def require_if(used: Callable[[Any], bool], name: str, wanted_by: str) -> Callable[[Any], str]:
    """Return the `find` of a rule that the setting `name` is not empty in settings for which `used` returns True."""
    find = require(name, wanted_by)
    return lambda settings: find(settings) if used(settings) else ""


def find_known_key(settings: Any) -> str:
    """Return the problem if a key that signs, or whose signatures are still believed, is public."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any(key.startswith(("for-this-machine-only-", "django-insecure-")) for key in keys):
        return ""
    return "SECRET_KEY is a key from public source code: anyone can forge log-ins and orders' links"


def find_any_host(settings: Any) -> str:
    """Return the problem if the web answers requests for every host name."""
    return "ALLOWED_HOSTS contains *: links in pages can lead to foreign hosts" if "*" in settings.ALLOWED_HOSTS else ""


def find_weak_password(settings: Any) -> str:
    """Return the problem if the database has no password or a password that an attacker tries first."""
    database = settings.DATABASES["default"]
    password = str(database.get("PASSWORD") or "")
    if not password:
        return "DATABASE_URL contains no password"
    known = {*KNOWN_PASSWORDS, str(database.get("USER") or "").lower()}
    return "The database password is a well-known one" if password.lower() in known else ""


def find_missing_mail_server(settings: Any) -> str:
    """Return the problem if no mail server sends the letters."""
    if settings.EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend":
        return ""
    return f"No mail server is set: letters go to {settings.EMAIL_BACKEND}, and customers get none"


def find_test_payments(settings: Any) -> str:
    """Return the problem if the payment gateway moves no money."""
    if settings.SANDBOX_IS_USED:
        return "PAYMENT_GATEWAY is 'sandbox': it accepts test tokens and moves no money"
    if settings.STRIPE_KEY.startswith(("sk_test_", "rk_test_")):
        return "STRIPE_KEY is a key of Stripe's test mode, which moves no money"
    return ""


def find_sms_mailbox(settings: Any) -> str:
    """Return the problem if text messages go into the local mailbox."""
    if settings.SMS_PROVIDER != "notifications.mailbox.SandboxSms":
        return ""
    return "SMS_PROVIDER is 'sandbox': text messages go into a table, and customers get none"


def find_open_kafka(settings: Any) -> str:
    """Return the problem if Kafka's clients do not authenticate. TLS alone proves only the broker's identity."""
    if settings.KAFKA_SECURITY_PROTOCOL.startswith("SASL_"):
        return ""
    return f"KAFKA_SECURITY_PROTOCOL is {settings.KAFKA_SECURITY_PROTOCOL}: anyone who reaches Kafka can forge events"


def find_missing_proxy(settings: Any) -> str:
    """Return the problem if the web has no proxy that says which requests came over TLS."""
    if settings.TRUSTED_PROXIES:
        return ""
    return "TRUSTED_PROXIES is 0: the web ignores X-Forwarded-Proto and redirects every request without TLS"


def find_debug(settings: Any) -> str:
    """Return the problem if errors show Django's debug pages."""
    return "DEBUG is 1: error pages show settings and source code" if settings.DEBUG else ""


def find_lab(settings: Any) -> str:
    """Return the problem if staff can switch parts of the shop off for the comparison."""
    return "LAB is 1: the lab switches parts of the shop off and places test orders" if settings.LAB else ""


def _uses_stripe(settings: Any) -> bool:
    return not settings.SANDBOX_IS_USED


def _uses_twilio(settings: Any) -> bool:
    return bool(settings.SMS_PROVIDER == "notifications.twilio.TwilioSms")


_STRIPE, _TWILIO = "PAYMENT_GATEWAY=stripe", "SMS_PROVIDER=twilio"
_NEW_KEY = "Set it to 50 or more random characters: python -c 'import secrets; print(secrets.token_urlsafe(64))'."
_HOSTS = "Set it to the shop's host names, for example shop.example,www.shop.example."
_PASSWORD = "Choose a long random password. Docker compose reads it from POSTGRES_PASSWORD."
_MAIL = "Set EMAIL_URL=smtp+tls://user:password@host:587 and DEFAULT_FROM_EMAIL."
_PAYMENTS = "Set PAYMENT_GATEWAY=stripe, STRIPE_KEY and STRIPE_WEBHOOK_SECRET."
_SMS = "Set SMS_PROVIDER=twilio, or SMS_PROVIDER=none to send no text messages."
_SENDER = "Set it to your number, your sender name or the SID of your messaging service."
_KAFKA = "Set KAFKA_SECURITY_PROTOCOL=SASL_SSL, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD."
_PROXY = "Put a proxy with TLS in front of the web, and set TRUSTED_PROXIES to the number of proxies."
_find_stripe_secret = require_if(_uses_stripe, "STRIPE_WEBHOOK_SECRET", _STRIPE)
#: All rules. The numbers are part of the ids that `check --deploy` prints, so they never change.
RULES = (
    Rule(1, require("SECRET_KEY"), _NEW_KEY),
    Rule(2, find_known_key, _NEW_KEY, "ACCEPT_KNOWN_KEY"),
    Rule(3, require("ALLOWED_HOSTS"), _HOSTS),
    Rule(4, find_any_host, _HOSTS, "ACCEPT_ANY_HOST"),
    Rule(5, find_weak_password, _PASSWORD, "ACCEPT_WEAK_DATABASE_PASSWORD"),
    Rule(6, find_missing_mail_server, _MAIL, "ACCEPT_MAILBOX"),
    Rule(7, find_test_payments, _PAYMENTS, "ACCEPT_SANDBOX_PAYMENTS"),
    Rule(8, require_if(_uses_stripe, "STRIPE_KEY", _STRIPE), "Copy it from Stripe's dashboard.", anywhere=True),
    Rule(9, _find_stripe_secret, "Copy it from the webhook's page in Stripe's dashboard.", anywhere=True),
    Rule(10, find_sms_mailbox, _SMS, "ACCEPT_SANDBOX_SMS"),
    Rule(11, require_if(_uses_twilio, "TWILIO_ACCOUNT", _TWILIO), "Copy the SID from Twilio's console.", anywhere=True),
    Rule(12, require_if(_uses_twilio, "TWILIO_TOKEN", _TWILIO), "Copy it from Twilio's console.", anywhere=True),
    Rule(13, require_if(_uses_twilio, "TWILIO_SENDER", _TWILIO), _SENDER, anywhere=True),
    Rule(14, find_open_kafka, _KAFKA, "ACCEPT_OPEN_KAFKA"),
    Rule(15, find_missing_proxy, _PROXY, "ACCEPT_NO_PROXY"),
    Rule(16, find_debug, "Unset DEBUG."),
    Rule(17, find_lab, "Unset LAB."),
)


def find_risks(settings: Any) -> Iterator[Risk]:
    """Yield each risk of `settings`, accepted or not, as if they were settings for production."""
    for rule in RULES:
        if problem := rule.find(settings):
            yield Risk(rule, problem)


def refuse_risks(settings: Any) -> None:
    """Refuse `settings` with risks that the environment does not accept.

    :raises ImproperlyConfigured: the message names all risks with their cures, one per line.
    """
    lines = [
        f"{risk.problem}. {risk.advice}"
        for risk in find_risks(settings)
        if (settings.PRODUCTION or risk.rule.anywhere) and not risk.accepted
    ]
    if len(lines) > 1:
        lines = [f"The settings are refused for {len(lines)} reasons:", *(f"- {line}" for line in lines)]
    if lines:
        raise ImproperlyConfigured("\n".join(lines))
