"""The number of events that were committed in a range of positions, for rates of arrival."""

from relay.consumer.watermarks import use_indexes

#: Wider ranges are not counted, because the cost grows with the range. A busy shop needs minutes for this range.
WIDEST = 200_000


def count_arrivals(after: int, until: int) -> dict[str, int] | None:
    """Return the number of committed events in (after, until] by topic, or None if the range is wider than WIDEST.

    Events of transactions that commit later are missing: at most the events of a few milliseconds.
    """
    if until - after > WIDEST:
        return None
    with use_indexes() as cursor:
        cursor.execute(
            "select topic, count(*) from relay_outbox where position > %s and position <= %s group by topic",
            [after, until],
        )
        return dict(cursor.fetchall())
