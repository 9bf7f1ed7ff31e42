"""A moment of an order's way: a commit, an acknowledgement of Kafka, an application, an effect or an action.

A moment without a time has not happened yet. Its text says what it waits for; its `place` names where staff mend it.
"""

from dataclasses import dataclass
from datetime import datetime

OUTBOX, KAFKA, GATEWAY, LETTERS, PEOPLE = "outbox", "kafka", "gateway", "letters", "people"


@dataclass(frozen=True)
class Moment:
    """A row of the record. `number` is the number of its event, or 0.

    `state` is done, waiting (not yet), stopped (a person or a retry must act) or skipped. `exact` is false if the time
    is not by the database's clock. `permission` is the permission that staff need to see the moment.
    """

    lane: str
    text: str
    at: datetime | None = None
    number: int = 0
    state: str = "done"
    exact: bool = True
    permission: str = ""
    place: str = ""
    place_name: str = ""
