"""Parts of the statement that writes a batch, and columns of rows as arrays, the parameters of the statement."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from analytics.facts.rows import Rows
from relay.arrays import to_array


class Part(NamedTuple):
    """The common table expressions that write some tables of `{schema}`, and the function that returns their values.

    The function returns an empty dict if a batch has nothing for these tables. The names of all parts differ.

    `times` selects a time of each changed row, of which the day matters; empty if no sums depend on these tables.
    """

    expressions: str
    list_values: Callable[[Rows], dict[str, str]]
    times: str


def split_columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    """Return the arrays of the columns of `rows` by name."""
    if not rows:
        return dict.fromkeys(names, "{}")
    return {name: to_array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
