"""The event of the seeded bugs' tests: a parcel moves, and is delivered in the order of its moves."""

from typing import ClassVar

from relay import Event


class ParcelMoved(Event, frozen=True, kw_only=True):
    """A parcel came to another place. Each run has a topic of its own."""

    topic: ClassVar[str] = "test.parcels"
    parcel: str
    padding: str = ""

    @property
    def key(self) -> str:
        return self.parcel
