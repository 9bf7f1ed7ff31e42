"""Static files from where they are installed, under names that carry a hash of their content, compressed.

There is no step that collects them: a process hashes a file when a page first names it, and compresses a file when a
browser first requests it.
"""

import gzip
import hashlib
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from whitenoise.base import WhiteNoise
from whitenoise.media_types import MediaTypes
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

HASH_CHARACTERS = 12
YEAR_SECONDS = 365 * 24 * 3600
_MEDIA_TYPES = MediaTypes()
_HASH = re.compile(rf"\.([0-9a-f]{{{HASH_CHARACTERS}}})(?=\.[^./]*\Z)")
COMPRESSED = {".css", ".html", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".xml"}


class HashedNames(StaticFilesStorage):
    """The storage behind `{% static %}`: ``catalogue/shop.css`` becomes ``/static/catalogue/shop.0123456789ab.css``."""

    def url(self, name: str | None) -> str:
        """Return the address of the file `name`, without a hash if there is no such file."""
        name = name or ""
        stem, dot, suffix = name.rpartition(".")
        digest = find_hash(name) if dot else None
        return super().url(f"{stem}.{digest}.{suffix}" if digest else name)


def find_hash(name: str) -> str | None:
    """Return the first HASH_CHARACTERS of the hash of the static file `name`, None if there is no such file."""
    return (_hash_file if settings.DEBUG else _recall_hash)(name)


def _hash_file(name: str) -> str | None:
    path = finders.find(name)
    if not path or not Path(path).is_file():
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:HASH_CHARACTERS]


_recall_hash = cache(_hash_file)


class StaticFiles:
    """Serve static files: with the hash of their content in the name for a year, under any other name for a minute.

    A name with another hash, as in a page from before a deploy, gets the file as it is now.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.prefix = f"/{settings.STATIC_URL.lstrip('/')}"
        self._known: dict[tuple[str, bool], StaticFile] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request below STATIC_URL, pass on any other and those for files that do not exist."""
        url = request.path_info
        if url.startswith(self.prefix) and WhiteNoise.url_is_canonical(url):
            name = _HASH.sub("", url.removeprefix(self.prefix))
            if digest := find_hash(name):
                return self.serve(request, name, is_immutable=f".{digest}." in url)
        return self.get_response(request)

    def serve(self, request: HttpRequest, name: str, *, is_immutable: bool) -> HttpResponseBase:
        """Send the file `name`."""
        try:
            file = self.find_file(name, is_immutable=is_immutable)
            return WhiteNoiseMiddleware.serve(file, request)  # type: ignore[no-any-return]
        except FileNotFoundError:  # a compressed copy was deleted from VAR_DIR
            self._known.clear()
            file = self.find_file(name, is_immutable=is_immutable)
            return WhiteNoiseMiddleware.serve(file, request)  # type: ignore[no-any-return]

    def find_file(self, name: str, *, is_immutable: bool) -> StaticFile:
        """Return what WhiteNoise sends for the file `name`. Caches may keep it for a year if `is_immutable`."""
        known = self._known.get((name, is_immutable))
        if known is None or settings.DEBUG:
            known = self._known[name, is_immutable] = open_file(str(finders.find(name)), is_immutable=is_immutable)
        return known


def open_file(path: str, *, is_immutable: bool) -> StaticFile:
    """Return what WhiteNoise sends for the file at `path`, compressed if the browser accepts that."""
    media_type = _MEDIA_TYPES.get_type(path)
    seconds = f"{YEAR_SECONDS}, public, immutable" if is_immutable else f"{0 if settings.DEBUG else 60}, public"
    headers = [
        ("Content-Type", f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type),
        ("Cache-Control", f"max-age={seconds}"),
    ]
    compressed = compress_file(Path(path))
    return StaticFile(path, headers, encodings={"gzip": str(compressed)} if compressed else None)


def compress_file(path: Path) -> Path | None:
    """Return a compressed copy of the file at `path`, below VAR_DIR; None if there is none, or it is hardly smaller."""
    if path.suffix not in COMPRESSED:
        return None
    content = path.read_bytes()
    copy = settings.VAR_DIR / "static" / f"{hashlib.sha256(content).hexdigest()}.gz"
    try:
        if not copy.exists():
            compressed = gzip.compress(content, mtime=0)
            if len(compressed) > 0.9 * len(content):
                return None
            copy.parent.mkdir(parents=True, exist_ok=True)
            unfinished = copy.with_suffix(f".{os.getpid()}.{id(content)}")
            unfinished.write_bytes(compressed)
            unfinished.replace(copy)
    except OSError:  # a full or read-only disk: the file is sent as it is
        return None
    return copy


class CompressedPages(GZipMiddleware):
    """Compress HTML alone: the API's answers are short.

    Django adds up to 100 random bytes, so that the length of a page does not give away its CSRF token (BREACH).
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress `response` if it is a page and the browser accepts that."""
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
