"""The event of the fault tests: a parcel moves. The moves of one parcel are delivered in order."""

from typing import ClassVar

from relay import Event


class ParcelMoved(Event, frozen=True, kw_only=True):
    """A parcel moved to another place. Each run uses a separate topic."""

    topic: ClassVar[str] = "test.parcels"
    parcel: str
    padding: str = ""

    @property
    def key(self) -> str:
        return self.parcel
