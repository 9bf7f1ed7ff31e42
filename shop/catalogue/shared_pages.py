"""Pages that are equal for all visitors but for a few parts: kept in memory, and right within CHECK_SECONDS.

A shared page is rendered without a request, therefore nothing of a visitor can get into it. Each answer puts the parts
of its own visitor (visitor_parts.py) where the page has a placeholder.

Triggers give the catalogue a new version in each transaction that changes it (models.CatalogueVersion). A process reads
the version before it uses a page, unless it did so less than CHECK_SECONDS ago, and forgets all pages of another one.
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

CHECK_SECONDS = 0.5  # how old a page may be; each process sends two short queries per second while it is visited
MOST_PAGES = 2000  # of about 15 kB each
_ACCEPTS_GZIP = re.compile(r"\bgzip\b")
_PLACEHOLDER = re.compile(r"<!--visitor:(\w+)-->")


@dataclass(frozen=True, slots=True)
class Page:
    """The HTML of a shared page, cut where its `parts` belong; `packed` are the same pieces compressed."""

    pieces: list[bytes]
    packed: list[bytes]
    parts: list[str]


def make_placeholder(name: str) -> str:
    """Return the placeholder in a shared page for the visitor's part `name`."""
    return f"<!--visitor:{name}-->"


class SharedPages:
    """The pages of the catalogue's present version, by key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._read_at = float("-inf")
        self._version: int | None = None
        self._pages: dict[Hashable, Page] = {}

    def open(self) -> dict[Hashable, Page]:
        """Return the pages of the version that the catalogue had at most CHECK_SECONDS ago.

        Put a page there only if it was rendered after this call. Pages of an older version are never returned again.
        :raises DatabaseError: the version cannot be read.
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
    """Answer with the page `key`, rendered from `template` and what `make_context` returns if it is not known.

    In a transaction the page is always rendered: what the transaction has changed is not for others.
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
    """Render a shared page."""
    cut = _PLACEHOLDER.split(render_to_string(template, describe_frame() | context))
    pieces = [piece.encode() for piece in cut[::2]]
    return Page(pieces, [pack(piece) for piece in pieces], cut[1::2])


def fill_page(page: Page, request: HttpRequest) -> HttpResponse:
    """Answer with `page` and the parts of the visitor who sent `request`, compressed if the browser accepts that."""
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
    """Return the first of `pieces`, the first of `parts`, and so on to the last of `pieces`."""
    joined: list[bytes] = [b""] * (len(pieces) + len(parts))
    joined[::2], joined[1::2] = pieces, parts
    return b"".join(joined)
