"""Static files, served compressed from the folders where they are installed. File names contain a hash of the content.

`collectstatic` is not needed: a process hashes a file when a page first links to it, and compresses the file at the
first request.
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
        """Return the URL of the file `name`, without a hash if the file does not exist."""
        name = name or ""
        stem, dot, suffix = name.rpartition(".")
        digest = find_hash(name) if dot else None
        return super().url(f"{stem}.{digest}.{suffix}" if digest else name)


def find_hash(name: str) -> str | None:
    """Return the first HASH_CHARACTERS of the hash of the static file `name`, or None if the file does not exist."""
    return (_hash_file if settings.DEBUG else _recall_hash)(name)


def _hash_file(name: str) -> str | None:
    path = finders.find(name)
    if not path or not Path(path).is_file():
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:HASH_CHARACTERS]


_recall_hash = cache(_hash_file)


class StaticFiles:
    """Middleware that serves static files. Caches keep a name with the current hash for a year, others for a minute.

    A name with an old hash, for example in a page from before a deployment, returns the current file.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.prefix = f"/{settings.STATIC_URL.lstrip('/')}"
        self._known: dict[tuple[str, bool], StaticFile] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the static file that is requested, or pass the request on if it is not for an existing file."""
        url = request.path_info
        if url.startswith(self.prefix) and WhiteNoise.url_is_canonical(url):
            name = _HASH.sub("", url.removeprefix(self.prefix))
            if digest := find_hash(name):
                return self.serve(request, name, is_immutable=f".{digest}." in url)
        return self.get_response(request)

    def serve(self, request: HttpRequest, name: str, *, is_immutable: bool) -> HttpResponseBase:
        """Return a response with the file `name`."""
        try:
            file = self.find_file(name, is_immutable=is_immutable)
            return WhiteNoiseMiddleware.serve(file, request)  # type: ignore[no-any-return]
        except FileNotFoundError:  # a compressed copy was deleted from VAR_DIR
            self._known.clear()
            file = self.find_file(name, is_immutable=is_immutable)
            return WhiteNoiseMiddleware.serve(file, request)  # type: ignore[no-any-return]

    def find_file(self, name: str, *, is_immutable: bool) -> StaticFile:
        """Return WhiteNoise's object for the file `name`. Caches may keep the file for a year if `is_immutable`."""
        known = self._known.get((name, is_immutable))
        if known is None or settings.DEBUG:
            known = self._known[name, is_immutable] = open_file(str(finders.find(name)), is_immutable=is_immutable)
        return known


def open_file(path: str, *, is_immutable: bool) -> StaticFile:
    """Return WhiteNoise's object for the file at `path`, with a compressed variant if there is one."""
    media_type = _MEDIA_TYPES.get_type(path)
    seconds = f"{YEAR_SECONDS}, public, immutable" if is_immutable else f"{0 if settings.DEBUG else 60}, public"
    headers = [
        ("Content-Type", f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type),
        ("Cache-Control", f"max-age={seconds}"),
    ]
    compressed = compress_file(Path(path))
    return StaticFile(path, headers, encodings={"gzip": str(compressed)} if compressed else None)


def compress_file(path: Path) -> Path | None:
    """Return the path of a compressed copy of `path` in VAR_DIR.

    Return None for other file types, if compression saves less than 10 %, or if the disk is not writable.
    """
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
    except OSError:  # a full or read-only disk: send the file uncompressed
        return None
    return copy


class CompressedPages(GZipMiddleware):
    """Middleware that compresses HTML only, because the API's responses are short.

    Django adds up to 100 random bytes, so that the length of a page does not reveal its CSRF token (BREACH attack).
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return `response`, compressed if it is HTML and the browser accepts gzip."""
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
