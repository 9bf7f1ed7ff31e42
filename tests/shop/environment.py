"""Environments of the settings: commands in a fresh process, safe variables for production, and the documented ones."""

import os
import re
import subprocess
from pathlib import Path

from tests.prefork import run_manage

ROOT = Path(__file__).resolve().parents[2]
#: The least that production needs.
SAFE = {
    "PRODUCTION": "1",
    "SECRET_KEY": "k9-x7_" * 10,
    "ALLOWED_HOSTS": "shop.example, www.shop.example",
    "TRUSTED_PROXIES": "1",
    "DATABASE_URL": "postgres://shop:l0ngRandom@db.example/shop",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_USERNAME": "shop",
    "KAFKA_SASL_PASSWORD": "l0ngRandom",
    "EMAIL_URL": "smtp+tls://mail.example:587",
    "SMS_PROVIDER": "none",
    "PAYMENT_GATEWAY": "stripe",
    "STRIPE_KEY": "sk_live_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
}


def manage(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with these environment variables and no others."""
    return run_manage(*command, environment={"PATH": os.environ["PATH"], **variables})


def read_documented_variables() -> dict[str, str]:
    """Return the variables of the table in docs/configuration.md, each with its meaning."""
    _, _, section = (ROOT / "docs/configuration.md").read_text("utf-8").partition("\n## Variables\n")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", section.partition("\n## ")[0], re.MULTILINE)
    assert len(rows) == len({name for name, _ in rows}), "a variable has two rows"
    return dict(rows)
