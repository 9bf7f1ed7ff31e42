"""How complete the figures of all panels are, read once for all viewers."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from analytics.completeness import Completeness, read_completeness
from analytics.flink.state import read_flink_completeness
from analytics.panels.reading import remember

#: Seconds that the answer is kept.
KEPT = 2


def read_complete() -> Completeness:
    """Return how complete the figures are, at most KEPT seconds old; problems are of the last day."""
    read = read_flink_completeness if settings.ANALYTICS_PAGES == "flink" else read_completeness
    return remember(("complete",), KEPT, lambda: read(since=timezone.now() - timedelta(days=1)))
