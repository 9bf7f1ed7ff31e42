"""docs/runbooks/leaked-password.md: a new password ends a stranger's log-ins, and the audit shows what was done."""

import http.cookiejar
import re
import urllib.parse
import urllib.request

import psycopg
import pytest

from tests.running_shop import RunningShop

pytestmark = pytest.mark.long


class Browser:
    """A browser that keeps cookies and follows redirects."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())).open

    def get(self, path: str) -> tuple[str, str]:
        """Return the address at which a GET ends, and the page."""
        with self._open(self._base_url + path) as answer:
            return answer.url.removeprefix(self._base_url), answer.read().decode()

    def send(self, path: str, **fields: str) -> tuple[str, str]:
        """Fill in the form at `path` and send it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path)[1])
        assert token
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        with self._open(self._base_url + path, body) as answer:
            return answer.url.removeprefix(self._base_url), answer.read().decode()


def log_in(shop: RunningShop) -> Browser:
    browser = Browser(shop.base_url)
    assert browser.send("/admin/login/?next=/admin/", username="staff", password="staff")[0] == "/admin/"
    return browser


def test_a_new_password_locks_the_thief_out_and_the_audit_names_the_account(shop: RunningShop) -> None:
    thief = log_in(shop)
    assert thief.get("/admin/orders/order/")[0] == "/admin/orders/order/"
    paused = shop.manage("relay_pause", "analytics", "--reason", "by the thief")
    assert paused.returncode == 0, paused.stderr
    change = "from django.contrib.auth.models import User; u = User.objects.get(username='staff');"
    changed = shop.manage("shell", "-v0", "-c", f"{change} u.set_password('a-new-long-password-1'); u.save()")
    assert changed.returncode == 0, changed.stderr
    assert thief.get("/admin/orders/order/")[0].startswith("/admin/login/")
    with psycopg.connect(shop.addresses["postgres"]) as db:
        found = db.execute("select action, reason from relay_intervention order by at desc limit 1").fetchone()
        assert found == ("pause", "by the thief")
        with pytest.raises(psycopg.Error):
            db.execute("delete from relay_intervention")
    log = (shop.var_dir / "log" / "web.log").read_text()
    assert "logged in" in log
