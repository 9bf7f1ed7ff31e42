"""All settings, read once from the environment. The defaults run the whole shop on one machine."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.templatetags.static import static

from shop.embedded.credentials import read_credentials
from shop.environment import (
    derive_keys,
    describe_session,
    env,
    read_bool,
    read_choice,
    read_count,
    read_database,
    read_days,
    read_fallbacks,
    read_folder,
    read_list,
    read_port,
    read_seconds,
    read_servers,
    read_text,
    read_url,
    read_valkey,
)
from shop.kafka_security import read_kafka_security
from shop.production import KNOWN_KEY, refuse_risks

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(read_text("VAR_DIR", str(BASE_DIR / "var"))).absolute()

PRODUCTION = read_bool("PRODUCTION")
DEBUG = read_bool("DEBUG")
LAB = read_bool("LAB")  # the comparison with the synchronous shop: shop/lab
SECRET_KEY = read_text("SECRET_KEY", "" if PRODUCTION else KNOWN_KEY)
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS", "" if PRODUCTION else "*")

#: Keys that are accepted, but sign nothing: the next or the last SECRET_KEY during a rotation.
SECRET_KEY_FALLBACKS = read_fallbacks("SECRET_KEY_FALLBACKS", SECRET_KEY)

# All ports are derived from PORT, so that a second copy of the shop needs only another PORT and VAR_DIR.
# The range 10000 to 32015 lies below the ports that Linux uses for outgoing connections.
HOST = read_text("HOST", "127.0.0.1")  # the web listens here; all other parts listen on 127.0.0.1
PORT = read_port("PORT", 8000)
PARTS_PORT = 10000 + PORT * 16 % 22000
POSTGRES_PORT = read_port("POSTGRES_PORT", PARTS_PORT)
VALKEY_PORT = read_port("VALKEY_PORT", PARTS_PORT + 1)
KAFKA_PORT = read_port("KAFKA_PORT", PARTS_PORT + 2)  # the first broker's; each further broker uses the next port
KAFKA_CONTROLLER_PORT = read_port("KAFKA_CONTROLLER_PORT", PARTS_PORT + 8)
LIVE_PORT = read_port("LIVE_PORT", PARTS_PORT + 7)  # live updates of pages
SANDBOX_PORT = read_port("SANDBOX_PORT", PARTS_PORT + 11)  # the simulated payment gateway
BROKERS = int(read_choice("BROKERS", "1", ("1", "3")))
EMBEDDED = read_choice("EMBEDDED", "system", ("system", "wheels"))
#: "flink": Flink computes the tables of analytics, too, in a schema of its own.
ANALYTICS = read_choice("ANALYTICS", "consumer", ("consumer", "flink"))
#: The tables that the sales pages read.
ANALYTICS_PAGES = read_choice("ANALYTICS_PAGES", "consumer", ("consumer", "flink"))
if ANALYTICS_PAGES == "flink" != ANALYTICS:
    raise ImproperlyConfigured("ANALYTICS_PAGES=flink needs ANALYTICS=flink: without it, Flink computes nothing")
FLINK_PORT = read_port("FLINK_PORT", PARTS_PORT + 12)  # Flink's REST API
FLINK_RPC_PORT = read_port("FLINK_RPC_PORT", PARTS_PORT + 13)  # for Flink's own processes
FLINK_URL = read_url("FLINK_URL", f"http://127.0.0.1:{FLINK_PORT}", ("http", "https"), "http://flink-jobs:8081")

#: Parts whose address the environment gives. `manage.py up` does not start these parts.
OUTSIDE_PARTS = {
    part
    for part, variable in [
        ("postgres", "DATABASE_URL"),
        ("kafka", "KAFKA_BOOTSTRAP_SERVERS"),
        ("valkey", "CELERY_BROKER_URL"),
        ("gateway", "SANDBOX_URL"),
        ("flink", "FLINK_URL"),
    ]
    if read_text(variable, "")
}

#: Credentials of the embedded parts, or None without SECURE=1.
CREDENTIALS = read_credentials(VAR_DIR)

ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "relay",
    "shop",
    "shop.accounts",
    "shop.activity",
    "shop.audit",
    "shop.catalogue",
    "shop.contacts",
    "shop.control",
    "shop.delays",
    "shop.vault",
    "orders",
    "inventory",
    "payments",
    "notifications",
    "analytics",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "shop.web.static_files.StaticFiles",
    "shop.web.static_files.CompressedPages",
    "shop.middleware.log_refusals",
    "shop.middleware.send_policy",
    "shop.middleware.unavailable_when_the_database_is_away",
    "shop.middleware.limit_bodies",
    "shop.middleware.tell_to_wait",
    "shop.middleware.SessionsOfPages",
    "shop.middleware.CheckedHosts",
    "django.middleware.csrf.CsrfViewMiddleware",
    "shop.middleware.LogInsOfPages",
    "shop.middleware.MessagesOfPages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
if LAB:
    INSTALLED_APPS.append("shop.lab")
    MIDDLEWARE.insert(0, "shop.lab.banner.Banner")
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.catalogue.context.shell",
                "orders.cart.session.count_cart",
            ],
        },
    },
]

# The address may contain options of psycopg, for example ?sslmode=verify-full&sslrootcert=/etc/ca.pem.
_database = read_database(
    "DATABASE_URL",
    CREDENTIALS.make_database_url(POSTGRES_PORT)
    if CREDENTIALS
    else f"postgres://postgres@127.0.0.1:{POSTGRES_PORT}/shop",
)
DATABASES = {
    "default": {
        **_database,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **_database.get("OPTIONS", {}),
            # Send values outside the statement's text, because quoting and parsing a batch's large values is slow.
            "server_side_binding": True,
            **describe_session(sys.argv),
        },
    },
}

KAFKA_BOOTSTRAP_SERVERS = read_servers(
    "KAFKA_BOOTSTRAP_SERVERS", [f"127.0.0.1:{KAFKA_PORT + n}" for n in range(BROKERS)]
)
_kafka_security = read_kafka_security()
KAFKA_SECURITY_PROTOCOL = _kafka_security.get("security_protocol", "PLAINTEXT")
if CREDENTIALS and "kafka" not in OUTSIDE_PARTS:
    _kafka_security, KAFKA_SECURITY_PROTOCOL = CREDENTIALS.describe_kafka_client(sys.argv), "SASL_SSL"
RELAY: dict[str, Any] = {
    "BOOTSTRAP_SERVERS": KAFKA_BOOTSTRAP_SERVERS,
    "CLIENT_OPTIONS": _kafka_security,
    "SOURCE": "/shop",
    # Modules that define the event classes and their topics.
    "EVENTS": ["shop.events"],
    # All consumers. Lag, parked keys and verification cover these consumers.
    "CONSUMERS": [
        "orders.handlers.consumer",
        "inventory.handlers.consumer",
        "payments.handlers.consumer",
        "notifications.handlers.consumer",
        "analytics.handlers.consumer",
        "analytics.handlers.bought_together",
    ],
    # The live process reads all topics for the ledger.
    "READERS": {"live": ["shop.activity", "shop.inventory", "shop.orders", "shop.payments", "shop.stock"]},
    "CONTRACT_FOLDER": str(BASE_DIR / "docs"),
    "PARTITIONS": 12,
    "REPLICATION": 3 if BROKERS == 3 else 1,
    "METRICS_TOKEN": read_text("METRICS_TOKEN", ""),
    # In production a proxy on this machine may forward a stranger's request without any trace.
    "METRICS_LOCAL": not PRODUCTION,
    # Retention in milliseconds. All other topics keep their records forever.
    "RETENTION_MS": {"shop.activity": 7 * 24 * 3600 * 1000},
}

CELERY_BROKER_URL = read_valkey(
    "CELERY_BROKER_URL",
    CREDENTIALS.make_valkey_url(VALKEY_PORT) if CREDENTIALS else f"redis://127.0.0.1:{VALKEY_PORT}/0",
)

if read_text("EMAIL_URL", ""):
    _email = read_url("EMAIL_URL", "", tuple(env.EMAIL_SCHEMES), "smtp+tls://user:password@host:587")
    vars().update(env.email_url_config(_email))
else:
    EMAIL_BACKEND = "notifications.mailbox.EmailBackend"
DEFAULT_FROM_EMAIL = read_text("DEFAULT_FROM_EMAIL", "Fjord & Pine <orders@shop.example>")

# After a timeout, the outcome of a gateway call is unknown. The payment worker looks it up later.
_GATEWAYS = {
    "sandbox": "payments.gateways.sandbox.SandboxGateway",
    "stripe": "payments.gateways.stripe.StripeGateway",
}
PAYMENT_GATEWAY = _GATEWAYS[read_choice("PAYMENT_GATEWAY", "sandbox", tuple(_GATEWAYS))]
SANDBOX_IS_USED = _GATEWAYS["sandbox"] == PAYMENT_GATEWAY
GATEWAY_CONNECT_SECONDS = read_seconds("GATEWAY_CONNECT_SECONDS", 1)
GATEWAY_READ_SECONDS = read_seconds("GATEWAY_READ_SECONDS", 5)
PAYMENT_HOLD_DAYS = read_days("PAYMENT_HOLD_DAYS", 7, least=2)  # the duration of an authorization at the card's bank
SANDBOX_URL = read_url("SANDBOX_URL", f"http://127.0.0.1:{SANDBOX_PORT}", ("http", "https"), "http://gateway:8100")
# The first key signs or is sent, all keys are accepted.
SANDBOX_KEYS = derive_keys("SANDBOX_KEY", "sandbox gateway", [SECRET_KEY, *SECRET_KEY_FALLBACKS])
STRIPE_KEY = read_text("STRIPE_KEY", "")
STRIPE_WEBHOOK_SECRET = read_text("STRIPE_WEBHOOK_SECRET", "")
STRIPE_URL = read_url("STRIPE_URL", "https://api.stripe.com", ("http", "https"), "https://api.stripe.com")
PAYMENT_WEBHOOK_URL = read_text("PAYMENT_WEBHOOK_URL", f"http://127.0.0.1:{PORT}/webhooks/payments")
PAYMENT_WEBHOOK_SECRETS = derive_keys("PAYMENT_WEBHOOK_SECRET", "payment webhooks", [SECRET_KEY, *SECRET_KEY_FALLBACKS])

#: Without a provider the shop stores and offers no text messages.
_SMS_PROVIDERS = {
    "sandbox": "notifications.mailbox.SandboxSms",
    "twilio": "notifications.twilio.TwilioSms",
    "none": "",
}
SMS_PROVIDER = _SMS_PROVIDERS[read_choice("SMS_PROVIDER", "sandbox", tuple(_SMS_PROVIDERS))]
TWILIO_ACCOUNT = read_text("TWILIO_ACCOUNT", "")
TWILIO_TOKEN = read_text("TWILIO_TOKEN", "")
TWILIO_SENDER = read_text("TWILIO_SENDER", "")
TWILIO_URL = read_url("TWILIO_URL", "https://api.twilio.com", ("http", "https"), "https://api.twilio.com")
#: Days for which analytics keeps activity and visits. Fewer than the outbox keeps would make a rebuild differ.
ANALYTICS_ACTIVITY_DAYS = read_days("ANALYTICS_ACTIVITY_DAYS", 90, least=31)
#: Folder for the Parquet files of dropped days; empty: days are dropped without an archive.
ANALYTICS_ARCHIVE_DIR = read_folder("ANALYTICS_ARCHIVE_DIR")
#: Largest number of e-mails per hour to one address, and of SMS to one telephone number.
LETTERS_PER_HOUR = read_count("LETTERS_PER_HOUR", 5)

SHOP_NAME = "Fjord & Pine"
SHOP_CURRENCY = "EUR"
ORDER_DEADLINE_HOURS = 24
#: Tax rates by the country of delivery, in hundredths of a per cent; 0 for all other countries. Prices include the tax.
TAX_RATES = {
    **{"AT": 2000, "BE": 2100, "CH": 810, "CZ": 2100, "DE": 1900, "DK": 2500, "EE": 2400, "ES": 2100, "FI": 2550},
    **{"FR": 2000, "GB": 2000, "IE": 2300, "IS": 2400, "IT": 2200, "LT": 2100, "LU": 1700, "LV": 2100, "NL": 2100},
    **{"NO": 2500, "PL": 2300, "PT": 2300, "SE": 2500},
}
SHIPPING_PRICE = 490  # minor units of SHOP_CURRENCY
SHIPPING_FREE_FROM = 5000  # minor units of SHOP_CURRENCY
CART_DAYS = 30  # days from a cart's last change until its deletion

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["shop.accounts.sessions.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["shop.web.permissions.Nobody"],
    "DEFAULT_THROTTLE_CLASSES": ["shop.web.limits.Limit"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["shop.web.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "shop.web.negotiation.JsonNegotiation",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "shop.web.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
}
#: Rate limits by kind of request, for each user or address: (requests, seconds until the full number is allowed again).
#: "read" and "write" are requests to the API, "page" and "form" requests for pages.
RATE_LIMITS = {
    **{"read": (1200, 60), "write": (300, 60), "page": (1200, 60), "form": (180, 60)},
    **{"log-in": (60, 60), "register": (20, 3600)},
}
RATE_LIMITS_ON = read_choice("RATE_LIMITS", "on", ("on", "off")) == "on"
LIMITS_URL = read_valkey("LIMITS_URL", CELERY_BROKER_URL)
#: Number of proxies in front of the web. Each proxy adds an address to X-Forwarded-For.
TRUSTED_PROXIES = int(read_choice("TRUSTED_PROXIES", "0", ("0", "1", "2", "3")))

SPECTACULAR_SETTINGS = {
    "TITLE": "Shop API",
    "DESCRIPTION": "Browse products and place orders. Amounts are integers in minor units of the currency.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "shop.web.schema.complete_problems",
    ],
    "ENUM_NAME_OVERRIDES": {"OrderStatus": "orders.api.history.STATUSES"},
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "shop.web.static_files.HashedNames"},
}

PASSWORD_HASHERS = ["shop.accounts.passwords.ShopArgon2"]
AUTHENTICATION_BACKENDS = ["shop.accounts.backend.WaitingBackend"]
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "accounts:log-in"
LOGIN_REDIRECT_URL = "orders:order-list"
#: The module that links orders to users.
ORDER_OWNERS = "orders.ownership"
LOG_IN_DAYS = 14
SESSION_COOKIE_AGE = LOG_IN_DAYS * 24 * 3600
REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_TTL": timedelta(days=LOG_IN_DAYS),
    "SECURE_HASH_ALGORITHM": "hashlib.sha512",
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
if PRODUCTION:
    # Browsers accept these names only with TLS, for this host alone.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    if TRUSTED_PROXIES:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # The orchestrator and Prometheus call these paths inside the network, without TLS.
    SECURE_REDIRECT_EXEMPT = ["^healthz$", "^metrics$"]
#: The live process for browsers: ":PORT" on the page's own host, a base address, or "" if a proxy sends /live/ and
#: /api/v1/orders/*/events/ there.
LIVE_URL = read_text("LIVE_URL", "/" if PRODUCTION else f":{LIVE_PORT}").rstrip("/")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "connect-src": [SELF, *([f"*{LIVE_URL}" if LIVE_URL.startswith(":") else LIVE_URL] if LIVE_URL else [])],
        "img-src": [SELF, "data:"],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
    },
}
#: The pages of the admin and of Swagger contain inline code. All pages load resources from this shop only.
CSP_LOOSENED = ("/admin/", "/api/docs/")


def _favicon(request: HttpRequest) -> str:
    return static("catalogue/favicon.svg")


# Shades of the storefront's green: the lightness in per cent by Unfold's shade number.
_LIGHTNESS = {50: 98, 100: 95, 200: 90, 300: 82, 400: 70, 500: 56, 600: 44, 700: 37, 800: 30, 900: 25, 950: 18}
UNFOLD = {
    "SITE_TITLE": SHOP_NAME,
    "SITE_HEADER": SHOP_NAME,
    "SITE_URL": "/",
    "DASHBOARD_CALLBACK": "shop.control.glance.add_glance",
    "SITE_ICON": _favicon,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _favicon}],
    "COLORS": {"primary": {str(shade): f"oklch({light}% .05 170)" for shade, light in _LIGHTNESS.items()}},
}

LOG_LEVEL = read_choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "shop.logs.LineFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {"kafka": {"level": "ERROR"}, "stripe": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}

refuse_risks(sys.modules[__name__])
