"""The WSGI application that Granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
_django = get_wsgi_application()

from django.conf import settings  # noqa: E402 - the settings are read above

from shop.web.seats import Seats  # noqa: E402

WEB_SEATS = 8  # per process; each seat keeps a connection to PostgreSQL
application = Seats(_django, WEB_SEATS, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
