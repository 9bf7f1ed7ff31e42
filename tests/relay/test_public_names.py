"""`from relay import ...` offers the public names, and a web process that publishes loads no Kafka client."""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings

import relay

PUBLISH_ONLY = """
import sys
import django
django.setup()
from relay import Event, publish, publish_many
{urls}
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & {{"kafka", "confluent_kafka"}})
assert not loaded, loaded
"""


@pytest.mark.parametrize("name", relay.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert name in dir(relay)
    assert getattr(relay, name) is getattr(relay, name)


def test_the_page_lists_every_public_name() -> None:
    page = (settings.BASE_DIR / "docs" / "relay.md").read_text()
    imported = re.findall(r"`from relay import ([\w, ]+)`", page)
    assert sorted(name for names in imported for name in names.split(", ")) == sorted(relay.__all__)


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'published'"):
        _ = relay.published  # type: ignore[attr-defined]


@pytest.mark.parametrize("urls", ["", "from shop.urls import urlpatterns"], ids=["publish", "with the shop's pages"])
def test_a_web_process_loads_no_kafka_client(urls: str) -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "shop.settings"}
    command = [sys.executable, "-c", PUBLISH_ONLY.format(urls=urls)]
    subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True, timeout=120)
