"""A banner on every page of the shop while the lab has switched a part off."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.templatetags.static import static

from shop.embedded import run_files


class Banner:
    """Middleware that is installed with LAB=1 only. It adds the banner to HTML pages, and changes nothing else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response, with the banner if a part is off. The banner's page is neither compressed nor cached."""
        off = {name: until for name, until in run_files.read_ends().items() if until > time.time()}
        if not off or "HTTP_HX_REQUEST" in request.META:  # request.headers would keep the encodings
            return self.get_response(request)
        for header in ("HTTP_ACCEPT_ENCODING", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"):
            request.META.pop(header, None)
        response = self.get_response(request)
        if not response.streaming and response.get("Content-Type", "").startswith("text/html"):
            response.content = add_banner(response.content, off)  # type: ignore[attr-defined]
            response["Cache-Control"] = "no-store"
            del response["ETag"]
            if "Content-Length" in response:
                response["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
        return response


def add_banner(page: bytes, off: dict[str, float]) -> bytes:
    """Return `page` with the banner as the first element of its body."""
    parts = ", ".join(sorted({name.partition("-")[0] for name in off}))
    until = datetime.fromtimestamp(max(off.values()), UTC)
    text = f"Lab: {parts} switched off until {until:%H:%M:%S} UTC at the latest. You can order as usual."
    style = f'<link rel="stylesheet" href="{static("lab/banner.css")}">'
    begin = page.find(b"<body")
    end = page.find(b">", begin) + 1
    if begin < 0 or not end:
        return page
    banner = f'<p class="lab-banner" role="status">{text}</p>'
    return page[:end].replace(b"</head>", style.encode() + b"</head>", 1) + banner.encode() + page[end:]
