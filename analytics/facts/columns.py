"""Columns of rows as arrays, the parameters of the statements."""

from collections.abc import Sequence
from typing import Any

from relay.arrays import to_array


def split_columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    """Return the arrays of the columns of `rows` by name."""
    if not rows:
        return dict.fromkeys(names, "{}")
    return {name: to_array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
