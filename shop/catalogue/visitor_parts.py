"""The parts of a page that depend on the visitor: account link, cart count, messages and CSRF token."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from django.http import HttpRequest
from django.template import engines
from django.template.loader import render_to_string
from django.utils.html import format_html


class Values(Protocol):
    """The context processors' values for a visitor: a template's context or a dict."""

    def get(self, key: str, otherwise: Any = None, /) -> Any:
        """Return the value of `key`, or `otherwise`."""


def read_values(request: HttpRequest) -> dict[str, Any]:
    """Return the context processors' values for `request`. Most values are lazy."""
    values: dict[str, Any] = {}
    for process in engines["django"].engine.template_context_processors:  # type: ignore[attr-defined]
        values.update(process(request))
    return values


def render_part(name: str, values: Values) -> str:
    """Return the HTML of the part `name` for the visitor with `values`."""
    return PARTS[name](values)


def _render_account(values: Values) -> str:
    return _render_once("catalogue/_account.html", "logged_in", bool(values.get("logged_in")))


def _render_count(values: Values) -> str:
    count = values.get("cart_count", 0)
    return _render_once("catalogue/_count.html", "count", count() if callable(count) else count)


@lru_cache(maxsize=1000)
def _render_once(template: str, name: str, value: int) -> str:
    return render_to_string(template, {name: value})


def _render_messages(values: Values) -> str:
    messages = values.get("messages")
    return render_to_string("catalogue/_messages.html", {"messages": messages}) if messages else ""


def _render_csrf(values: Values) -> str:
    return format_html('<input type="hidden" name="csrfmiddlewaretoken" value="{}">', values.get("csrf_token", ""))


PARTS: dict[str, Callable[[Values], str]] = {
    "account": _render_account,
    "count": _render_count,
    "messages": _render_messages,
    "csrf": _render_csrf,
}
