"""In-memory cache of pages that are the same for all visitors except for a few parts.

A shared page is rendered without a request, so it can't contain data of a visitor. Each response replaces the page's
placeholders by the parts of its own visitor (visitor_parts.py).

Triggers give the catalogue a new version in each transaction that changes it (models.CatalogueVersion). A process reads
the version at most once per CHECK_SECONDS, and deletes all cached pages if the version has changed.
"""

import re
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

from shop.catalogue.compression import join_gzip, pack, pack_part
from shop.catalogue.context import describe_frame
from shop.catalogue.models import CatalogueVersion
from shop.catalogue.visitor_parts import read_values, render_part

CHECK_SECONDS = 0.5  # maximum age of a page; a busy process sends two short queries per second
MOST_PAGES = 2000  # about 15 kB each
_ACCEPTS_GZIP = re.compile(r"\bgzip\b")
_PLACEHOLDER = re.compile(r"<!--visitor:(\w+)-->")


@dataclass(frozen=True, slots=True)
class Page:
    """The HTML of a shared page, cut into `pieces` at its placeholders. `packed` are the compressed pieces.

    `parts` are the names of the visitor's parts between the pieces.
    """

    pieces: list[bytes]
    packed: list[bytes]
    parts: list[str]


def make_placeholder(name: str) -> str:
    """Return the placeholder in a shared page for the visitor's part `name`."""
    return f"<!--visitor:{name}-->"


class SharedPages:
    """The pages of the catalogue's current version, by key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._read_at = float("-inf")
        self._version: int | None = None
        self._pages: dict[Hashable, Page] = {}

    def open(self) -> dict[Hashable, Page]:
        """Return the pages of the catalogue's current version, which is read again after CHECK_SECONDS.

        Add a page to the returned dict only if it was rendered after this call. Pages of an earlier
        version are never returned again.

        :raises DatabaseError: the version can't be read.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= CHECK_SECONDS:
                version = CatalogueVersion.objects.values_list("number", flat=True).first()
                if version != self._version or len(self._pages) >= MOST_PAGES:
                    self._version, self._pages = version, {}
                self._read_at = now
            return self._pages


_shared = SharedPages()


def show_shared(
    request: HttpRequest, key: Hashable, template: str, make_context: Callable[[], dict[str, Any]]
) -> HttpResponse:
    """Return a response with the page `key`. If it is not cached, render `template` with `make_context()`.

    In a transaction the page is always rendered and not cached, because it may show uncommitted changes.
    """
    if settings.DEBUG or connection.in_atomic_block:
        page = render_page(template, make_context())
    else:
        pages = _shared.open()
        known = pages.get(key)
        page = known or render_page(template, make_context())
        if known is None and len(pages) < MOST_PAGES:
            pages[key] = page
    return fill_page(page, request)


def render_page(template: str, context: dict[str, Any]) -> Page:
    """Render `template` as a shared page."""
    cut = _PLACEHOLDER.split(render_to_string(template, describe_frame() | context))
    pieces = [piece.encode() for piece in cut[::2]]
    return Page(pieces, [pack(piece) for piece in pieces], cut[1::2])


def fill_page(page: Page, request: HttpRequest) -> HttpResponse:
    """Return a response with `page` and the visitor's parts, compressed if the browser accepts gzip."""
    values = read_values(request)
    parts = [render_part(name, values).encode() for name in page.parts]
    content = interleave(page.pieces, parts)
    if not _ACCEPTS_GZIP.search(request.headers.get("Accept-Encoding", "")):
        return HttpResponse(content)
    packed = interleave(page.packed, [pack_part(part) for part in parts])
    response = HttpResponse(join_gzip(packed, content), headers={"Content-Encoding": "gzip"})
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


def interleave(pieces: list[bytes], parts: list[bytes]) -> bytes:
    """Return `pieces` and `parts` joined alternately, from the first to the last piece."""
    joined: list[bytes] = [b""] * (len(pieces) + len(parts))
    joined[::2], joined[1::2] = pieces, parts
    return b"".join(joined)
