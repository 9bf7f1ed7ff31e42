"""An event in version 3, with the upcasters from versions 1 and 2."""

from typing import Any, ClassVar

import msgspec

from relay import Event, Upcaster, unchanged


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """A weight with its unit."""

    grams: int


def weigh_in_grams(value: dict[str, Any]) -> dict[str, Any]:
    """Convert version 1, which has whole kilograms, to version 2."""
    kilograms = value.pop("kilograms")
    return {**value, "weight": {"grams": kilograms * 1000}}


class ParcelPosted(Event, frozen=True, kw_only=True):
    """A parcel was handed in. v2 knows its weight in grams; v3 may say that it is fragile."""

    topic: ClassVar[str] = "test.parcels"
    version: ClassVar[int] = 3
    upcasters: ClassVar[dict[int, Upcaster]] = {1: weigh_in_grams, 2: unchanged}
    parcel: str
    weight: Weight
    fragile: bool = False

    @property
    def key(self) -> str:
        return self.parcel
