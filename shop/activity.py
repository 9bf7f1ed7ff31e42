"""What visitors do, published as events, never in the way of a page: what cannot be said at once is not said."""

import logging
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.http import HttpRequest

from relay.outbox import publish
from shop.events import ActivityEvent

logger = logging.getLogger(__name__)
_SESSION_KEY = "visitor"


def identify_visitor(request: HttpRequest) -> UUID:
    """Return the random id of this visitor's session, which leads to no person; a new session gets one."""
    try:
        return UUID(request.session.get(_SESSION_KEY, ""))
    except ValueError:
        visitor = uuid4()
        request.session[_SESSION_KEY] = str(visitor)
        return visitor


def record_activity(event: ActivityEvent) -> None:
    """Publish `event` in a transaction of its own that gives up within moments. Raises nothing."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("set local lock_timeout = '200ms'; set local statement_timeout = '500ms'")
            publish(event)
    except Exception as error:  # a page matters more than the count of its views
        logger.warning("activity not recorded", extra={"type": event.type_name(), "error": str(error).strip()})
