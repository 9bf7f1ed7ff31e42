"""The WSGI application that Granian serves."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Return the response's body as a list, unless the response streams.

    Granian sends a list in one step, but uses a separate thread to read the chunks of any other iterable.
    """
    response: Any = _django(environ, start_response)
    if response.streaming:
        return response  # type: ignore[no-any-return]
    content = [response.content]
    response.close()
    return content
