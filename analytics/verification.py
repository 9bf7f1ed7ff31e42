"""The verification of analytics: the tables must equal a recount of the outbox. Differences are not repaired."""

from collections.abc import Iterator

from analytics.recount.comparison import recount


def find_recount_differences() -> Iterator[str]:
    """Yield a sentence for each row of analytics that differs from the recount of the applied events."""
    yield from recount().differences
