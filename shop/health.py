"""Whether this process can serve: it answers, and the database answers it."""

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def answer_health(request: HttpRequest) -> JsonResponse:
    """Answer 200 when `select 1` works, else 503. Reads no session, so that it is as cheap as it looks."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except DatabaseError as error:
        logger.error("health: database unavailable", extra={"error": str(error).strip()})
        return JsonResponse({"status": "unavailable", "database": "unavailable"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})
